"""The fonts inside PDF files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from fontTools import subset
from fontTools.subset import Options
from fontTools.ttLib import TTFont

# Tables that say how letters are put side by side, which a PDF file says itself for each of them.
_LAYOUT = ("GDEF", "GPOS", "GSUB", "kern")
# Tables of which all is read, whatever letters are wanted.
_WHOLE = ("post", "cmap", "hmtx", "glyf")

# Fonts that were read ahead, each for one use: to cut one down changes it.
_ahead: dict[Path, TTFont] = {}


def read_ahead(files: Iterator[Path]) -> None:
    """Read fonts for the next file of each process that is copied from this one."""
    for file in files:
        # From memory: of an open file all of these processes would share the position.
        font = subset.load_font(BytesIO(file.read_bytes()), Options())
        for table in _WHOLE:
            if table in font:
                _ = font[table]
        _ahead[file] = font


@contextmanager
def without_layout_tables() -> Iterator[None]:
    """Inside, fonts that matplotlib cuts down to the letters of a file lose their layout tables, too.

    To cut these takes more time than all else of a file. matplotlib has no option for it, so it is made the default of
    fontTools. Fonts that were read ahead are not read again.
    """
    tables, load = Options._drop_tables_default, subset.load_font

    def loaded(file: Any, options: Options, *arguments: Any, **others: Any) -> TTFont:
        # A file of several fonts is none of those that were read ahead.
        known = None if arguments or others or getattr(file, "face_index", None) else _ahead.pop(Path(str(file)), None)
        return load(file, options, *arguments, **others) if known is None else known

    Options._drop_tables_default, subset.load_font = [*tables, *_LAYOUT], loaded
    try:
        yield
    finally:
        Options._drop_tables_default, subset.load_font = tables, load
