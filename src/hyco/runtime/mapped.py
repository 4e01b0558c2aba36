"""Tensors that stay in their file, a safetensors file, for data larger than memory.

The file is mapped into memory: a part of a tensor is read where it is used, and leaves memory after `release`, which
the passes over whole tensors here do by themselves. Such tensors are read like all others, and never written to.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

# Numbers of a part: a pass over a tensor that is smaller sees it as a whole.
_PART = 2**22
# Bytes of the header, in a file whose metadata are not known when it is begun: by itself, and for each row.
_HEADER_BYTES, _ROW_BYTES = 2**18, 64
_NAMES = {torch.float64: "F64", torch.float32: "F32", torch.bool: "BOOL", torch.int64: "I64"}
_TYPES = {name: dtype for dtype, name in _NAMES.items()}


class _Map(mmap.mmap):
    path: Path


# By the address of its first byte.
_MAPS: WeakValueDictionary[int, _Map] = WeakValueDictionary()


class OnDiskError(ValueError):
    """Something is asked for that data which stay in a file do not have; the message says what to do."""


def begin_file(path: Path, shapes: Mapping[str, tuple[torch.dtype, Sequence[int]]]) -> None:
    """Make a file for tensors that come in parts, see `write_rows`; zeros until then, which take no room.

    Args:
        path: of the file.
        shapes: type and shape of each tensor, by name.

    Raises:
        OSError: it cannot be written.
    """
    entries: dict[str, Any] = {}
    end = 0
    for name, (dtype, shape) in sorted(shapes.items(), key=lambda item: (-item[1][0].itemsize, item[0])):
        begin, end = end, end + dtype.itemsize * torch.Size(shape).numel()
        entries[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # who has the former one mapped keeps it
    rows = max((shape[0] for _, shape in shapes.values() if len(shape)), default=0)
    size = _HEADER_BYTES + _ROW_BYTES * rows
    with path.open("wb") as file:
        file.write(_header(entries, {}, size))
        file.truncate(8 + size + end)


def write_rows(path: Path, name: str, first: int, rows: Tensor) -> None:
    """Put rows of a tensor into its file, from `first` on; processes may do that side by side.

    Raises:
        OSError: they cannot be written.
    """
    with path.open("r+b") as file:
        entries, _, start = _read_header(file.fileno())
        row = rows[0].numel() * rows.element_size() if len(rows) else 0
        file.seek(start + entries[name]["data_offsets"][0] + first * row)
        file.write(rows.contiguous().reshape(-1).view(torch.uint8).numpy().data)
        file.flush()
        os.fsync(file.fileno())


def end_file(path: Path, metadata: Mapping[str, str]) -> None:
    """Put the metadata of a file that was begun by `begin_file` into its header.

    Raises:
        ValueError: they are too long.
        OSError: they cannot be written.
    """
    with path.open("r+b") as file:
        entries, _, start = _read_header(file.fileno())
        file.seek(0)
        file.write(_header(entries, metadata, start - 8))
        file.flush()
        os.fsync(file.fileno())


def open_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file, which stay in it, and its metadata.

    Raises:
        ValueError: it is none.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        entries, metadata, start = _read_header(file.fileno())
        # Private: a write, which nobody does, would not reach the file. Python's buffers know no other read-only one.
        mapped = _Map(file.fileno(), 0, access=mmap.ACCESS_COPY)
    mapped.path = path.absolute()
    whole = torch.frombuffer(mapped, dtype=torch.uint8)
    _MAPS[whole.untyped_storage().data_ptr()] = mapped
    tensors = {}
    for name, entry in entries.items():
        begin, end = (start + offset for offset in entry["data_offsets"])
        if end > len(whole):
            raise ValueError(f"{name} ends beyond the file")
        tensors[name] = whole[begin:end].view(_TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


def is_mapped(tensor: Tensor) -> bool:
    """Whether a tensor stays in its file."""
    return _map_of(tensor) is not None


def file_of(tensor: Tensor) -> Path | None:
    """The file that a tensor stays in; None: it is in memory."""
    mapped = _map_of(tensor)
    return None if mapped is None else mapped.path


def release(tensor: Tensor) -> None:
    """Let what was read of a tensor's file leave the memory of this process; nothing for other tensors."""
    if (mapped := _map_of(tensor)) is not None:
        mapped.madvise(mmap.MADV_DONTNEED)


def expect(tensor: Tensor, rows: Sequence[tuple[int, int, int]]) -> None:
    """Tell the system which parts of a mapped tensor `[S, T, …]` are read next: it reads them meanwhile.

    Args:
        tensor: any tensor; nothing is done for one that is in memory.
        rows: of each part the index in the first axis, and the first and, behind it, the last in the second.
    """
    if (mapped := _map_of(tensor)) is None:
        return
    each = tensor.element_size()
    base = tensor.data_ptr() - tensor.untyped_storage().data_ptr()
    for row, first, last in rows:
        begin = base + each * (row * tensor.stride(0) + first * tensor.stride(1))
        page = begin - begin % mmap.PAGESIZE
        mapped.madvise(mmap.MADV_WILLNEED, page, begin + each * (last - first) * tensor.stride(1) - page)


def parts(first: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Tensors of equally many rows, in parts; what was read of those in files leaves memory after each part.

    The parts depend on shapes alone, so that sums over them do not depend on where the tensors are.
    """
    for rows in slices(len(first), first[0].numel() if len(first) else 1):
        yield tuple(tensor[rows] for tensor in (first, *others))
        for tensor in (first, *others):
            release(tensor)


def slices(rows: int, each: int) -> Iterator[slice]:
    """The parts of a tensor of so many rows, of so many numbers each."""
    size = max(1, _PART // max(each, 1))
    return (slice(first, min(first + size, rows)) for first in range(0, max(rows, 1), size))


def rows_of(tensor: Tensor, which: Sequence[int]) -> Tensor:
    """Some rows of a tensor: where they follow each other no copy is made."""
    if which and list(which) == list(range(which[0], which[0] + len(which))):
        return tensor[which[0] : which[0] + len(which)]
    return tensor[list(which)]


def in_any_row(mask: Tensor) -> Tensor:
    """Where a mask `[S, …]` is true in any of its rows, `[…]`."""
    return reduce(torch.logical_or, (part.any(dim=0) for (part,) in parts(mask)))


def cleared(tensor: Tensor, mask: Tensor) -> Tensor:
    """A tensor with zeros where a mask, which broadcasts to it, is false.

    Raises:
        OnDiskError: it is in a file, and not so already.
    """
    if not is_mapped(tensor):
        return torch.where(mask, tensor, 0.0)
    for values, kept in parts(tensor, mask.expand(tensor.shape)):
        if bool((values.ne(0) & ~kept).any()):
            raise OnDiskError("a file of data has values where its mask says that there are none: make it anew")
    return tensor


def _map_of(tensor: Tensor) -> _Map | None:
    return _MAPS.get(tensor.untyped_storage().data_ptr())


def _header(entries: Mapping[str, Any], metadata: Mapping[str, str], size: int) -> bytes:
    text = json.dumps({"__metadata__": dict(sorted(metadata.items())), **entries}, separators=(",", ":")).encode()
    if len(text) > size:
        raise ValueError(f"metadata of {len(text)} bytes; at most {size} fit into the header of this file")
    return size.to_bytes(8, "little") + text.ljust(size)


def _read_header(file: int) -> tuple[dict[str, Any], dict[str, str], int]:
    """Entries by name, metadata, and where the data begin."""
    size = int.from_bytes(os.pread(file, 8, 0), "little")
    entries = json.loads(os.pread(file, size, 8))
    return entries, entries.pop("__metadata__", {}), 8 + size
