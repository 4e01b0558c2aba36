"""How Python's garbage collector treats what stays for good."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def first_import(module: str) -> Iterator[None]:
    """Around the first import of a large package: the garbage collector rests, and leaves alone what is there then.

    PyTorch, PhiFlow and MLflow leave hundreds of thousands of objects that stay to the end, and the collector looks at
    all of them whenever they have grown by a quarter: a tenth of a run of 18 s, .4 s of it in the middle of a training.
    Nothing happens where the module was imported before: nobody knows then what else would be kept.
    """
    if module in sys.modules:
        yield
        return
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
