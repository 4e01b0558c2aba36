"""Operations that do nothing, or the same as another one."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx

from hyco.stepping.rewrites.nodes import arguments, aten, drop_unused

_ALONG = {aten.slice.Tensor, aten.select.int, aten.unsqueeze.default, aten.cat.default, aten.stack.default}


def count_from_the_front(graph: fx.Graph) -> None:
    """Give the dimension that slices, selections, concatenations and stacks are along, from 0 on."""
    for node in graph.nodes:
        if node.target in _ALONG:
            first, *rest = arguments(node)
            rank = node.meta["val"].ndim + (node.target is aten.select.int)
            node.args = (first, rest[0] % rank if rest else 0, *rest[1:])


def take_any_strides(graph: fx.Graph) -> None:
    """Reshapes for views, which need the order in memory that they were recorded with: it may become another one."""
    for node in graph.nodes:
        if node.target is aten.view.default:
            node.target = aten.reshape.default


def drop_idle(graph: fx.Graph) -> None:
    """Take out operations that leave a tensor as it is."""
    for node in list(graph.nodes):
        if node.op != "call_function" or not node.args or not isinstance(node.args[0], fx.Node):
            continue
        if _idle(node, node.args[0]):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    drop_unused(graph)


def _idle(node: fx.Node, source: fx.Node) -> bool:
    before, after = source.meta.get("val"), node.meta.get("val")
    if not isinstance(before, Tensor) or not isinstance(after, Tensor):
        return False
    if node.target is aten.slice.Tensor:
        return before.shape == after.shape
    if node.target is aten.add.Tensor:
        return isinstance(node.args[1], int | float) and node.args[1] == 0 and before.dtype == after.dtype
    same = before.shape == after.shape and before.dtype == after.dtype and before.device == after.device
    views = (aten.alias.default, aten.detach.default, aten.expand.default, aten.reshape.default)
    return same and before.stride() == after.stride() and (node.target in views or node.target is aten._to_copy.default)


def merge_equal(graph: fx.Graph) -> None:
    """Compute once what is computed from the same inputs in the same way."""
    seen: dict[Any, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op not in ("call_function", "get_attr"):
            continue
        # Numbers by their representation: 1, 1.0 and True are equal in Python, but not to torch.
        key = (node.op, node.target, repr(node.args), repr(sorted(node.kwargs.items())))
        if key in seen:
            node.replace_all_uses_with(seen[key])
            graph.erase_node(node)
        else:
            seen[key] = node
