"""Shifts: slices of tensors that were continued at their ends."""

from __future__ import annotations

from torch import fx

from hyco.stepping.rewrites.nodes import arguments, aten, drop_unused, replace


def roll(graph: fx.Graph) -> None:
    """A slice of `[a, x, b]` that is x is x; one as large as x, of x with its own ends or one end, is x, rolled."""
    for node in list(graph.nodes):
        if node.target is not aten.slice.Tensor or len(node.args) != 4:
            continue
        joined, dim, start, end = arguments(node)
        part = _part(joined, dim, start, end)
        if part is not None:
            node.replace_all_uses_with(part)
            graph.erase_node(node)
            continue
        source, width = _continued(joined, dim)
        if source is None or node.meta["val"].shape != source.meta["val"].shape:
            continue
        replace(node, aten.roll.default, source, [width - start], [dim])
    drop_unused(graph)


def _part(joined: fx.Node, dim: int, start: int, end: int) -> fx.Node | None:
    """The tensor that lies between these places of a concatenation, if it is one that was joined."""
    if joined.target is not aten.cat.default or joined.args[1:] != (dim,):
        return None
    begin = 0
    for part in arguments(joined)[0]:
        size = part.meta["val"].shape[dim]
        if (begin, begin + size) == (start, end):
            found: fx.Node = part
            return found
        begin += size
    return None


def _continued(joined: fx.Node, dim: int) -> tuple[fx.Node | None, int]:
    """The tensor that a concatenation continues periodically, and how far in front; None if it does not."""
    if joined.target is not aten.cat.default or joined.args[1:] != (dim,):
        return None, 0
    parts = arguments(joined)[0]
    source = max(parts, key=lambda part: part.meta["val"].shape[dim])
    place, n = parts.index(source), source.meta["val"].shape[dim]
    before, after = parts[:place], parts[place + 1 :]
    if len(before) > 1 or len(after) > 1 or len(parts) == 1:
        return None, 0
    width = before[0].meta["val"].shape[dim] if before else 0
    ends = [(part, n - width, n) for part in before] + [(part, 0, part.meta["val"].shape[dim]) for part in after]
    same = all(part.target is aten.slice.Tensor and part.args == (source, dim, *between) for part, *between in ends)
    return (source, width) if same else (None, 0)
