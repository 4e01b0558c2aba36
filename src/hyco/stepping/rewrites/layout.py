"""The order of dimensions: computed in the one in which memory is contiguous."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, fx

from hyco.stepping.rewrites.nodes import arguments, aten, drop_unused, exact, new, replace

_ELEMENTWISE = {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.rsub.Scalar, aten.neg.default}
_ELEMENTWISE |= {aten.abs.default, aten.minimum.default, aten.maximum.default, aten.where.self, aten._to_copy.default}
_UNARY = {aten.abs.default, aten.neg.default}
_BROADCASTING = _ELEMENTWISE | {aten.addcmul.default}
_TRANSFORMS = {aten._fft_r2c.default, aten._fft_c2c.default, aten._fft_c2r.default}


def restore_stacks(graph: fx.Graph) -> None:
    """A concatenation of tensors with a new dimension each is their stack."""
    for node in list(graph.nodes):
        if node.target is aten.cat.default:
            parts, dim = arguments(node)
            if all(part.target is aten.unsqueeze.default and part.args[1] == dim for part in parts):
                replace(node, aten.stack.default, [arguments(part)[0] for part in parts], dim)
    drop_unused(graph)


def keep_selected(graph: fx.Graph) -> None:
    """A selection with its dimension put back, here or elsewhere, is a slice, or that permuted."""
    for node in list(graph.nodes):
        if node.target is not aten.unsqueeze.default:
            continue
        value, dim = arguments(node)
        steps = []
        while value.target in _UNARY and len(value.users) == 1:
            steps.append(value)
            value = arguments(value)[0]
        if value.target is not aten.select.int:
            continue
        source, selected, index = arguments(value)
        index %= source.meta["val"].shape[selected]
        kept = new(node, aten.slice.Tensor, source, selected, index, index + 1)
        for step in reversed(steps):
            kept = new(node, step.target, kept)
        order = [i for i in range(node.meta["val"].ndim) if i != selected]
        order.insert(dim, selected)
        _permute(node, kept, order)
    drop_unused(graph)


def permute_late(graph: fx.Graph) -> None:
    """Do before a permutation what is done to a permuted tensor, so that most permutations cancel in the end."""
    for node in list(graph.nodes):
        if node.op != "call_function" or not node.args:
            continue
        first, *rest = arguments(node)
        if _permuted(node):
            _permute(node, first, rest[0])
        elif node.target is aten.stack.default:
            _restack(node, first, rest[0])
        elif node.target is aten.slice.Tensor and _permuted(first):
            source, order = arguments(first)
            _permute(node, new(node, aten.slice.Tensor, source, order[rest[0]], *rest[1:]), order)
        elif node.target is aten.select.int and _permuted(first):
            source, order = arguments(first)
            dim, index = rest
            gone = order[dim]
            left = [i - (i > gone) for i in order if i != gone]
            _permute(node, new(node, aten.select.int, source, gone, index), left)
        elif node.target is aten.cat.default and _permuted_alike(first):
            _, order = arguments(first[0])
            parts = [arguments(part)[0] for part in first]
            _permute(node, new(node, aten.cat.default, parts, order[rest[0]]), order)
        elif node.target in _TRANSFORMS and _permuted(first):
            source, order = arguments(first)
            _permute(node, new(node, node.target, source, [order[dim] for dim in rest[0]], *rest[1:]), order)
        elif node.target is aten.view_as_real.default and _permuted(first):
            source, order = arguments(first)
            _permute(node, new(node, aten.view_as_real.default, source), [*order, len(order)])
        elif node.target in _ELEMENTWISE:
            _permute_result(node)
    drop_unused(graph)


def keep_scalars(graph: fx.Graph) -> None:
    """Compute with one number as a tensor without dimensions, not with as many dimensions as fields have."""
    scalars: dict[fx.Node, fx.Node] = {}

    def scalar(value: fx.Node) -> fx.Node:
        return scalars.get(value, value)

    for node in list(graph.nodes):
        if node.op != "call_function" or not _one_number(node):
            continue
        inputs = node.all_input_nodes
        if any(scalar(i).meta["val"].ndim for i in inputs) or not inputs:
            continue
        if node.target in (aten.unsqueeze.default, aten.reshape.default):
            scalars[node] = scalar(inputs[0])
        elif node.target in _ELEMENTWISE:
            scalars[node] = new(node, node.target, *fx.node.map_arg(node.args, scalar), **node.kwargs)
    for node, replacement in scalars.items():
        for user in list(node.users):
            # Where another input alone gives the result its shape and its kind of numbers.
            rank = user.meta["val"].ndim if user.target in _BROADCASTING and exact(user) else None
            if any(i not in scalars and i.meta["val"].ndim == rank for i in user.all_input_nodes):
                user.replace_input_with(node, replacement)
    drop_unused(graph)


def _one_number(value: fx.Node) -> bool:
    tensor = value.meta["val"]
    return isinstance(tensor, Tensor) and tensor.ndim > 0 and tensor.numel() == 1


def _restack(node: fx.Node, parts: list[fx.Node], dim: int) -> None:
    """A stack of all the slices of one tensor, in order, is that tensor permuted."""
    if any(part.target is not aten.select.int or part.args[:2] != parts[0].args[:2] for part in parts):
        return
    source, sliced, _ = arguments(parts[0])
    shape = source.meta["val"].shape
    if [arguments(part)[2] for part in parts] == list(range(shape[sliced])):
        order = [i for i in range(len(shape)) if i != sliced]
        order.insert(dim, sliced)
        _permute(node, source, order)


def _permute_result(node: fx.Node) -> None:
    """`f(permute(a), permute(b), c)` as `permute(f(a, b, c'))`, for a c that is broadcast, permuted the other way."""
    shape = node.meta["val"].shape
    full = [i for i in node.all_input_nodes if i.meta["val"].shape == shape]
    permuted = [i for i in full if not _broadcast(i)]
    if not _permuted_alike(permuted):
        return
    _, order = arguments(permuted[0])

    def before(value: fx.Node) -> fx.Node:
        if value in permuted:
            source: fx.Node = arguments(value)[0]
            return source
        return anew(value, before) if _broadcast(value) else _unpermuted(node, value, order)

    def anew(value: fx.Node, of: Callable[[fx.Node], fx.Node]) -> fx.Node:
        arguments: Any = fx.node.map_arg(value.args, of)
        keywords: Any = fx.node.map_arg(value.kwargs, of)
        return new(node, value.target, *arguments, **keywords)

    _permute(node, anew(node, before), order)


def _broadcast(value: fx.Node) -> bool:
    """Whether it is an elementwise result, for one other operation, of nothing as large as itself."""
    size = value.meta["val"].numel()
    inputs = value.all_input_nodes
    return value.target in _ELEMENTWISE and len(value.users) == 1 and all(i.meta["val"].numel() < size for i in inputs)


def _unpermuted(node: fx.Node, value: fx.Node, order: list[int]) -> fx.Node:
    """A tensor that is broadcast, with the order of dimensions that a permutation to `order` starts from."""
    rank, shape = len(order), list(value.meta["val"].shape)
    inverse = [order.index(i) for i in range(rank)]
    if not shape:
        return value
    if len(shape) < rank:
        value = new(node, aten.reshape.default, value, [1] * (rank - len(shape)) + shape)
    if value.target is aten.unsqueeze.default:  # another place for the new dimension, if no other changes its own
        source, dim = arguments(value)
        if [i for i in inverse if i != dim] == [i for i in range(rank) if i != dim]:
            return new(node, aten.unsqueeze.default, source, inverse.index(dim))
    if _permuted(value):
        value, inner = arguments(value)
        inverse = [inner[i] for i in inverse]
    return value if inverse == sorted(inverse) else new(node, aten.permute.default, value, inverse)


def _permute(node: fx.Node, source: fx.Node, order: list[int]) -> None:
    """Put `source` permuted in the place of a node, as it is if its order stays."""
    if _permuted(source):
        source, inner = arguments(source)
        order = [inner[i] for i in order]
    if list(order) == sorted(order):
        node.replace_all_uses_with(source)
        node.graph.erase_node(node)
    else:
        replace(node, aten.permute.default, source, list(order))


def _permuted(value: Any) -> bool:
    return isinstance(value, fx.Node) and value.target is aten.permute.default


def _permuted_alike(values: list[fx.Node]) -> bool:
    """Whether all are permuted, in the same way, and there are any."""
    return all(map(_permuted, values)) and len({tuple(arguments(value)[1]) for value in values}) == 1
