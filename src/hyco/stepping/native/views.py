"""Operations that only say where numbers are read: from an index of the result to the index of what it is a view of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from hyco.runtime.errors import InternalError

Index = tuple[str, ...]
Parts = tuple[str, ...]
Read = Callable[[Index], Parts]
Shape = tuple[int, ...]


class UnsupportedError(InternalError):
    """An operation of a step for which no code can be written."""


def place(shape: Sequence[int], index: Index) -> str:
    """Where the number at an index stands in memory."""
    found = "0"
    for n, i in zip(shape, index, strict=True):
        if n > 1:
            found = i if found == "0" else f"({found}) * {n} + {i}"
    return found


def _select(read: Read, of: Shape, shape: Shape, index: Index, dim: int, number: int) -> Parts:
    dim %= len(of)
    return read((*index[:dim], str(number % of[dim]), *index[dim:]))


def _select_backward(read: Read, of: Shape, shape: Shape, index: Index, _: Any, dim: int, number: int) -> Parts:
    dim %= len(shape)
    return _where(f"{index[dim]} == {number % shape[dim]}", read((*index[:dim], *index[dim + 1 :])))


def _slice(read: Read, of: Shape, shape: Shape, index: Index, dim: int = 0, start: Any = 0, *rest: Any) -> Parts:
    if len(rest) > 1 and rest[1] != 1:
        raise UnsupportedError("a slice with steps")
    dim %= len(shape)
    first = min(_begin(start or 0, of[dim]), of[dim])
    return read((*index[:dim], f"({index[dim]} + {first})", *index[dim + 1 :]))


def _begin(start: int, size: int) -> int:
    """Where a slice begins: one from before the first number on begins with that."""
    return max(start + size, 0) if start < 0 else start


def _slice_backward(
    read: Read, of: Shape, shape: Shape, index: Index, _: Any, dim: int, start: int, end: int, step: int
) -> Parts:
    if step != 1:
        raise UnsupportedError("a slice with steps")
    dim %= len(shape)
    first, i = _begin(start or 0, shape[dim]), index[dim]
    inside = f"{i} >= {first} && {i} < {first + of[dim]}"
    # Outside some number is read, and not used.
    return _where(inside, read((*index[:dim], f"({inside} ? {i} - {first} : 0)", *index[dim + 1 :])))


def _where(condition: str, parts: Parts) -> Parts:
    return tuple(f"({condition} ? splat({part}) : V{{}})" for part in parts)


def _unsqueeze(read: Read, of: Shape, shape: Shape, index: Index, dim: int) -> Parts:
    dim %= len(shape)
    return read((*index[:dim], *index[dim + 1 :]))


def _permute(read: Read, of: Shape, shape: Shape, index: Index, order: Sequence[int]) -> Parts:
    own = [""] * len(order)
    for i, dim in zip(index, order, strict=True):
        own[dim] = i
    return read(tuple(own))


def _transpose(read: Read, of: Shape, shape: Shape, index: Index, first: int = 0, second: int = 1) -> Parts:
    own = list(index)
    own[first], own[second] = own[second], own[first]
    return read(tuple(own))


def _roll(read: Read, of: Shape, shape: Shape, index: Index, shifts: Any, dims: Any) -> Parts:
    own = list(index)
    listed = [[value] if isinstance(value, int) else value for value in (shifts, dims)]
    for shift, dim in zip(*listed, strict=True):
        own[dim] = f"(({own[dim]} + {-shift % of[dim]}) % {of[dim]})"
    return read(tuple(own))


def _flip(read: Read, of: Shape, shape: Shape, index: Index, dims: Sequence[int]) -> Parts:
    flipped = [dim % len(of) for dim in dims]
    return read(tuple(f"({of[n] - 1} - {i})" if n in flipped else i for n, i in enumerate(index)))


def _expand(read: Read, of: Shape, shape: Shape, index: Index, *_: Any, **__: Any) -> Parts:
    own = index[len(index) - len(of) :]
    return read(tuple("0" if n == 1 else i for n, i in zip(of, own, strict=True)))


def _repeat(read: Read, of: Shape, shape: Shape, index: Index, *_: Any) -> Parts:
    first = len(index) - len(of)
    own = zip(shape[first:], of, index[first:], strict=True)
    return read(tuple(i if n == m else "0" if m == 1 else f"({i} % {m})" for n, m, i in own))


def _reshape(read: Read, of: Shape, shape: Shape, index: Index, *_: Any) -> Parts:
    kept = [i for n, i in zip(shape, index, strict=True) if n > 1]
    if [n for n in shape if n > 1] == [n for n in of if n > 1]:
        return read(tuple(kept.pop(0) if n > 1 else "0" for n in of))
    at = place(shape, index)
    own = [f"({at}) / {math.prod(of[number + 1 :])} % {n}" for number, n in enumerate(of)]
    return read(tuple(f"({i})" for i in own))


def _view_as_real(read: Read, of: Shape, shape: Shape, index: Index) -> Parts:
    real, imaginary = read(index[:-1])
    if index[-1] in ("0", "1"):
        return ((real, imaginary)[int(index[-1])],)
    return (f"({index[-1]} ? {imaginary} : {real})",)


def _view_as_complex(read: Read, of: Shape, shape: Shape, index: Index) -> Parts:
    return (*read((*index, "0")), *read((*index, "1")))


def _same(read: Read, of: Shape, shape: Shape, index: Index, *_: Any, **__: Any) -> Parts:
    return read(index)


# From what reads the numbers of the source, its shape, that of the view, an index of it and the operator's arguments.
VIEWS: dict[str, Callable[..., Parts]] = {
    "select": _select,
    "select_backward": _select_backward,
    "slice": _slice,
    "narrow": _slice,
    "slice_backward": _slice_backward,
    "unsqueeze": _unsqueeze,
    "permute": _permute,
    "t": _transpose,
    "transpose": _transpose,
    "roll": _roll,
    "flip": _flip,
    "expand": _expand,
    "repeat": _repeat,
    "reshape": _reshape,
    "view": _reshape,
    "_unsafe_view": _reshape,
    "squeeze": _reshape,
    "view_as_real": _view_as_real,
    "view_as_complex": _view_as_complex,
    "detach": _same,
    "alias": _same,
    "clone": _same,
    "lift_fresh_copy": _same,
}
