"""Periodic shifts."""

from __future__ import annotations

from torch import fx

from hyco.stepping.rewrites.nodes import arguments, aten, drop_unused, replace


def roll(graph: fx.Graph) -> None:
    """A slice of `[end, x, start]` as large as x is x, rolled."""
    for node in list(graph.nodes):
        if node.target is not aten.slice.Tensor or len(node.args) != 4:
            continue
        joined, dim, start, _ = arguments(node)
        source, width = _continued(joined, dim)
        if source is None or node.meta["val"].shape != source.meta["val"].shape:
            continue
        if start == width:
            node.replace_all_uses_with(source)
            graph.erase_node(node)
        else:
            replace(node, aten.roll.default, source, [width - start], [dim])
    drop_unused(graph)


def _continued(joined: fx.Node, dim: int) -> tuple[fx.Node | None, int]:
    """The tensor that a concatenation continues periodically at both ends, and how far; None if it does not."""
    if joined.target is not aten.cat.default or joined.args[1:] != (dim,) or len(arguments(joined)[0]) != 3:
        return None, 0
    before, source, after = arguments(joined)[0]
    n, width = source.meta["val"].shape[dim], before.meta["val"].shape[dim]
    ends = all(part.target is aten.slice.Tensor and part.args[:2] == (source, dim) for part in (before, after))
    if ends and before.args[2:] == (n - width, n) and after.args[2:] == (0, width):
        return source, width
    return None, 0
