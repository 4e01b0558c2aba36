"""Whether a file of MATLAB 5 to 7 is what it says it is: SciPy's reader of arrays trusts it, and may crash Python.

Source: MathWorks, MAT-File Format, version 5: a header of 128 bytes, then elements, each a type, a number of bytes and
its data; an array is an element of elements: flags, dimensions, name, real part and perhaps an imaginary one.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hyco.observations.checks import MeasurementError

_HEADER, _TAG = 128, 8
_MATRIX, _COMPRESSED = 14, 15
# Types of numbers and text, and their bytes.
_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
_INT8, _INT32, _UINT32 = 1, 5, 6
# Classes of arrays: text, then numbers.
_CLASSES = (4, *range(6, 16))
# Bytes that hold all of an array but its numbers.
_BEGINNING = 4096


def check(path: Path, wanted: tuple[str, ...]) -> None:
    """Whether the arrays that are wanted are arrays of numbers or text, as large as they say.

    Raises:
        MeasurementError: one is not, or the file is damaged.
    """
    with path.open("rb") as file:
        header = file.read(_HEADER)
        if header[126:128] not in (b"IM", b"MI"):
            return  # another version, or no such file, which SciPy tells
        order = "<" if header[126:128] == b"IM" else ">"
        for beginning, size in _matrices(file, order, path.stat().st_size):
            try:
                name, problem = _array(beginning, size, order)
            except struct.error:
                raise MeasurementError("it cannot be read as a file of MATLAB: an array is damaged") from None
            if problem and name in wanted:
                raise MeasurementError(f"{name} {problem}")


def _matrices(file: BinaryIO, order: str, end: int) -> Iterator[tuple[bytes, int]]:
    """The beginning of each array, and the bytes of it all."""
    place = _HEADER
    while place < end:
        file.seek(place)
        tag = file.read(_TAG)
        kind, size = struct.unpack(f"{order}II", tag) if len(tag) == _TAG else (0, 0)
        if kind not in (_MATRIX, _COMPRESSED) or place + _TAG + size > end:
            raise MeasurementError("it cannot be read as a file of MATLAB: it is damaged or cut short")
        content = file.read(min(size, _BEGINNING))
        place += _TAG + size
        if kind == _COMPRESSED:
            try:
                content = zlib.decompressobj().decompress(content, _BEGINNING)
            except zlib.error as error:
                raise MeasurementError(f"it cannot be read as a file of MATLAB: {error}") from error
            kind, size = struct.unpack(f"{order}II", content[:_TAG]) if len(content) >= _TAG else (0, 0)
            if kind != _MATRIX:
                raise MeasurementError("it cannot be read as a file of MATLAB: an array is damaged")
            content = content[_TAG:]
        yield content, size


def _array(content: bytes, size: int, order: str) -> tuple[str, str | None]:
    """The name of an array, and what is wrong with it."""
    place = 0

    def element() -> tuple[int, int, bytes]:
        """Type, number of bytes and, where it is short, the data of the next element."""
        nonlocal place
        kind, count = struct.unpack_from(f"{order}II", content, place)
        if kind >> 16:  # up to four bytes, which stand in the tag
            kind, count, data, step = kind & 0xFFFF, kind >> 16, place + 4, _TAG
        else:
            data, step = place + _TAG, _TAG + (count + 7) // 8 * 8
        place += step
        return kind, count, content[data : data + count]

    flags = element()
    dimensions = element()
    name = element()
    if (flags[:2], dimensions[0], name[0]) != ((_UINT32, 8), _INT32, _INT8) or place > len(content):
        raise struct.error
    label = name[2].decode("latin-1")
    (word,) = struct.unpack_from(f"{order}I", flags[2])
    if word & 0xFF not in _CLASSES:
        return label, "holds neither numbers nor text"
    entries = math.prod(struct.unpack(f"{order}{dimensions[1] // 4}i", dimensions[2]))
    for _ in range(2 if word & 0x800 else 1):
        if place >= size:
            return label, "is damaged: its numbers are missing"
        if place + _TAG > len(content):
            return label, None  # the imaginary part, behind the beginning
        kind, count, _ = element()
        if kind not in _BYTES or entries < 0 or count != entries * _BYTES[kind] or place > size + 7:
            return label, f"is damaged: {count} bytes for {entries} entries"
    return label, None
