"""The fonts inside PDF files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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

# A file takes the letters of a font in parts, of 256 places each: those of Latin, and few others.
_USES = 2

# Fonts that were read ahead, once for each use: to cut one down changes it.
_ahead: dict[Path, list[TTFont]] = {}


def read_ahead(files: Iterable[Path]) -> None:
    """Read fonts for the next file of each process that is copied from this one."""
    for file in files:
        content = file.read_bytes()
        _ahead[file] = [_read(content) for _ in range(_USES)]


def _read(content: bytes) -> TTFont:
    """A font in memory: of an open file all processes that are copied from this one would share the position."""
    font = subset.load_font(BytesIO(content), Options())
    for table in _WHOLE:
        if table in font:
            _ = font[table]
    for table in _LAYOUT:  # else they are read, and looked through, before they are left out
        if table in font:
            del font[table]
    return font


@contextmanager
def without_layout_tables() -> Iterator[None]:
    """Inside, fonts that matplotlib cuts down to the letters of a file lose their layout tables, too.

    To cut these takes more time than all else of a file. matplotlib has no option for it, so it is made the default of
    fontTools. Fonts that were read ahead are not read again.
    """
    tables, load = Options._drop_tables_default, subset.load_font

    def loaded(file: Any, options: Options, *arguments: Any, **others: Any) -> TTFont:
        # A file of several fonts is none of those that were read ahead.
        whole = not (arguments or others or getattr(file, "face_index", None))
        left = _ahead.get(Path(str(file))) if whole else None
        return left.pop() if left else load(file, options, *arguments, **others)

    Options._drop_tables_default, subset.load_font = [*tables, *_LAYOUT], loaded
    try:
        yield
    finally:
        Options._drop_tables_default, subset.load_font = tables, load
