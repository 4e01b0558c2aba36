"""What MLflow need not import to know that it is in no notebook."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_NOTEBOOKS = "IPython"


@contextmanager
def without_ipython() -> Iterator[None]:
    """Inside, IPython cannot be imported, unless it was: a program that it runs has it already.

    MLflow imports it, with all of its terminal, to ask it whether a run begins in a notebook.
    """
    if _NOTEBOOKS in sys.modules:
        yield
        return
    sys.modules[_NOTEBOOKS] = None  # type: ignore[assignment] # as Python's import system has it
    try:
        yield
    finally:
        del sys.modules[_NOTEBOOKS]
