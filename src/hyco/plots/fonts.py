"""The fonts inside PDF files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fontTools.subset import Options

# Tables that say how letters are put side by side, which a PDF file says itself for each of them.
_LAYOUT = ("GDEF", "GPOS", "GSUB", "kern")


@contextmanager
def without_layout_tables() -> Iterator[None]:
    """Inside, fonts that matplotlib cuts down to the letters of a file lose their layout tables, too.

    To cut these takes more time than all else of a file. matplotlib has no option for it, so it is made the default of
    fontTools.
    """
    before = Options._drop_tables_default
    Options._drop_tables_default = [*before, *_LAYOUT]
    try:
        yield
    finally:
        Options._drop_tables_default = before
