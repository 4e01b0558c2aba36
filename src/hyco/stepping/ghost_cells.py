"""Ghost cells in the graphs that the compiler gets. Its import takes seconds: only where a step is compiled."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch._inductor.custom_graph_pass import CustomGraphPass, get_hash_for_files

from hyco.stepping.rewrites.nodes import arguments, aten, drop_unused, new


class GhostCells(CustomGraphPass):
    """Shifts along the last dimension of a field as slices of the field with ghost cells.

    The compiler takes the remainder of each cell's index for a periodic shift. Unless the number of cells is a power
    of two that is a division for each cell, and no vector instruction can load the cells; a slice it can. It works on
    the graph of a step and on that of its gradient.
    """

    def uuid(self) -> Any:
        """Its key in the cache of compiled steps: the code of this file."""
        return get_hash_for_files((__file__,))

    def __call__(self, graph: fx.Graph) -> None:
        """Change a graph."""
        shifts: dict[fx.Node, dict[fx.Node, int]] = {}
        for node in graph.nodes:
            shift = _shift(node)
            if shift is not None:
                field, distance = shift
                shifts.setdefault(field, {})[node] = distance
        for field, distances in shifts.items():
            _widen(field, distances)
        drop_unused(graph)


def _shift(node: fx.Node) -> tuple[fx.Node, int] | None:
    """The field and the distance where a node has in the place of each cell the one so far behind it."""
    if node.target is not aten.index.Tensor:
        return None
    field, (*others, index) = arguments(node)
    *_, n = field.meta["val"].shape
    if len(others) + 1 < field.meta["val"].ndim or any(i is not None for i in others) or index is None:
        return None
    if not isinstance(n, int) or n & (n - 1) == 0:
        return None
    distance = _distance(index, n)
    return None if distance is None else (field, distance if distance <= n // 2 else distance - n)


def _distance(index: fx.Node, n: int) -> int | None:
    """d, where the index is fmod(d + (0, …, n - 1), n): what becomes of a roll."""
    if index.target is not aten.fmod.Scalar or index.args[1] != n:
        return None
    added, _ = arguments(index)
    if added.target is not aten.add.Tensor or added.kwargs or not isinstance(added.args[1], int):
        return None
    count, distance = arguments(added)
    if count.target is not torch.ops.prims.iota.default or count.args != (n,):
        return None
    plain = (count.kwargs["start"], count.kwargs["step"]) == (0, 1)
    return distance if plain and 0 < distance < n else None


def _widen(field: fx.Node, distances: dict[fx.Node, int]) -> None:
    """Slices of one wider field in the place of its shifts."""
    dim, n = field.meta["val"].ndim - 1, field.meta["val"].shape[-1]
    before, after = (max(0, *(sign * d for d in distances.values())) for sign in (-1, 1))
    first = next(iter(distances))
    parts = [field]
    if before:
        parts.insert(0, new(first, aten.slice.Tensor, field, dim, n - before, n))
    if after:
        parts.append(new(first, aten.slice.Tensor, field, dim, 0, after))
    wide = new(first, aten.cat.default, parts, dim)
    for node, distance in distances.items():
        shifted = new(node, aten.slice.Tensor, wide, dim, before + distance, before + distance + n)
        node.replace_all_uses_with(shifted)
