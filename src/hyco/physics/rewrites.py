"""Cheaper forms of the operations in a recorded graph, with the same values but for rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten

_ELEMENTWISE = {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.rsub.Scalar, aten.neg.default}
_ELEMENTWISE |= {aten.abs.default, aten.minimum.default, aten.maximum.default, aten.where.self}

_ALONG = {aten.slice.Tensor, aten.select.int, aten.unsqueeze.default, aten.cat.default, aten.stack.default}

# Of a number times a tensor they give that number times what they give of the tensor.
_LINEAR = {aten.slice.Tensor, aten.select.int, aten.unsqueeze.default, aten.permute.default, aten.roll.default}
_LINEAR |= {aten.view.default, aten.reshape.default, aten.expand.default, aten._fft_c2c.default}

_SUMS = {aten.add.Tensor, aten.sub.Tensor}

# Operators of these names take the same arguments as the functions of torch of these names.
_FUNCTIONS = {"abs", "add", "addcmul", "cat", "div", "exp", "gt", "lt", "maximum", "minimum", "mul", "neg", "permute"}
_FUNCTIONS |= {"reshape", "roll", "rsub", "select", "sign", "sqrt", "stack", "sub", "sum", "tanh", "unsqueeze", "where"}


def simplify(graph: fx.Graph) -> None:
    """Leave out what changes nothing or is computed twice, and take one operation where there are several.

    - Operations that leave a tensor as it is are dropped.
    - PhiML puts the dimension of a stack last; what is computed from it is computed with the dimensions in the order
      of what was stacked, where memory is contiguous.
    - A slice of a tensor with its own ends in front and behind, a periodic shift, becomes a roll: its gradient is one
      operation instead of five, and a compiler needs no copy of the tensor.
    - Fourier transforms along one dimension after the other become one transform; that of real numbers needs no complex
      copy of them.
    - Numbers that tensors are multiplied by go along with what is computed, to a sum or a product that takes them for
      nothing.
    - A product that is added becomes one operation with the sum.
    """
    _count_from_the_front(graph)
    _drop_idle(graph)
    _merge_equal(graph)
    _stack(graph)
    _permute_late(graph)
    _merge_equal(graph)
    _roll(graph)
    _merge_equal(graph)
    _transform(graph)
    _carry_numbers(graph)
    _merge_equal(graph)
    _unnest_sums(graph)
    _add_products(graph)


def call_torch(graph: fx.Graph) -> None:
    """Call the functions of torch instead of the operators behind them: the call takes a third less time."""
    for node in graph.nodes:
        if node.target is aten.slice.Tensor and len(node.args) == 4:
            source, dim, start, end = node.args
            length = node.meta["val"].shape[dim]
            if isinstance(start, int) and isinstance(end, int) and start >= 0 and end - start == length:
                node.target, node.args = torch.narrow, (source, dim, start, length)
        elif isinstance(node.target, torch._ops.OpOverload):
            name = node.target._schema.name.removeprefix("aten::")
            if name in _FUNCTIONS:
                node.target = getattr(torch, name)


def _count_from_the_front(graph: fx.Graph) -> None:
    """Give the dimension that slices, selections, concatenations and stacks are along, from 0 on."""
    for node in graph.nodes:
        if node.target in _ALONG:
            first, *rest = _arguments(node)
            rank = node.meta["val"].ndim + (node.target is aten.select.int)
            node.args = (first, rest[0] % rank if rest else 0, *rest[1:])


def _drop_idle(graph: fx.Graph) -> None:
    """Take out operations that leave a tensor as it is."""
    for node in list(graph.nodes):
        if node.op != "call_function" or not node.args or not isinstance(node.args[0], fx.Node):
            continue
        if _idle(node, node.args[0]):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    graph.eliminate_dead_code()


def _idle(node: fx.Node, source: fx.Node) -> bool:
    before, after = source.meta.get("val"), node.meta.get("val")
    if not isinstance(before, Tensor) or not isinstance(after, Tensor):
        return False
    if node.target is aten.slice.Tensor:
        return before.shape == after.shape
    if node.target is aten.add.Tensor:
        return isinstance(node.args[1], int | float) and node.args[1] == 0 and before.dtype == after.dtype
    same = before.shape == after.shape and before.dtype == after.dtype and before.device == after.device
    views = (aten.alias.default, aten.detach.default, aten.expand.default, aten.view.default)
    return same and before.stride() == after.stride() and (node.target in views or node.target is aten._to_copy.default)


def _merge_equal(graph: fx.Graph) -> None:
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


def _permute_late(graph: fx.Graph) -> None:
    """Do before a permutation what is done to a permuted tensor, so that most permutations cancel in the end."""
    for node in list(graph.nodes):
        if node.op != "call_function" or not node.args:
            continue
        first, *rest = _arguments(node)
        if _permuted(node):
            _permute(node, first, rest[0])
        elif node.target is aten.stack.default:
            _restack(node, first, rest[0])
        elif node.target is aten.slice.Tensor and _permuted(first):
            source, order = _arguments(first)
            _permute(node, _new(node, aten.slice.Tensor, source, order[rest[0]], *rest[1:]), order)
        elif node.target is aten.select.int and _permuted(first):
            source, order = _arguments(first)
            dim, index = rest
            gone = order[dim]
            left = [i - (i > gone) for i in order if i != gone]
            _permute(node, _new(node, aten.select.int, source, gone, index), left)
        elif node.target is aten.cat.default and _permuted_alike(first):
            _, order = _arguments(first[0])
            parts = [_arguments(part)[0] for part in first]
            _permute(node, _new(node, aten.cat.default, parts, order[rest[0]]), order)
        elif node.target in _ELEMENTWISE:
            _permute_result(node)
    graph.eliminate_dead_code()


def _restack(node: fx.Node, parts: list[fx.Node], dim: int) -> None:
    """A stack of all the slices of one tensor, in order, is that tensor permuted."""
    if any(part.target is not aten.select.int or part.args[:2] != parts[0].args[:2] for part in parts):
        return
    source, sliced, _ = _arguments(parts[0])
    shape = source.meta["val"].shape
    if [_arguments(part)[2] for part in parts] == list(range(shape[sliced])):
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
    _, order = _arguments(permuted[0])

    def before(value: fx.Node) -> fx.Node:
        if value in permuted:
            source: fx.Node = _arguments(value)[0]
            return source
        return anew(value, before) if _broadcast(value) else _unpermuted(node, value, order)

    def anew(value: fx.Node, of: Callable[[fx.Node], fx.Node]) -> fx.Node:
        arguments: Any = fx.node.map_arg(value.args, of)
        keywords: Any = fx.node.map_arg(value.kwargs, of)
        return _new(node, value.target, *arguments, **keywords)

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
        value = _new(node, aten.reshape.default, value, [1] * (rank - len(shape)) + shape)
    if value.target is aten.unsqueeze.default:  # another place for the new dimension, if no other changes its own
        source, dim = _arguments(value)
        if [i for i in inverse if i != dim] == [i for i in range(rank) if i != dim]:
            return _new(node, aten.unsqueeze.default, source, inverse.index(dim))
    return _new(node, aten.permute.default, value, inverse)


def _permute(node: fx.Node, source: fx.Node, order: list[int]) -> None:
    """Put `source` permuted in the place of a node, as it is if its order stays."""
    if _permuted(source):
        source, inner = _arguments(source)
        order = [inner[i] for i in order]
    if list(order) == sorted(order):
        node.replace_all_uses_with(source)
        node.graph.erase_node(node)
    else:
        _replace(node, aten.permute.default, source, list(order))


def _permuted(value: Any) -> bool:
    return isinstance(value, fx.Node) and value.target is aten.permute.default


def _permuted_alike(values: list[fx.Node]) -> bool:
    """Whether all are permuted, in the same way, and there are any."""
    return all(map(_permuted, values)) and len({tuple(_arguments(value)[1]) for value in values}) == 1


def _roll(graph: fx.Graph) -> None:
    """A slice of `[end, x, start]` as large as x is x, rolled."""
    for node in list(graph.nodes):
        if node.target is not aten.slice.Tensor or len(node.args) != 4:
            continue
        joined, dim, start, _ = _arguments(node)
        source, width = _continued(joined, dim)
        if source is None or node.meta["val"].shape != source.meta["val"].shape:
            continue
        if start == width:
            node.replace_all_uses_with(source)
            graph.erase_node(node)
        else:
            _replace(node, aten.roll.default, source, [width - start], [dim])
    graph.eliminate_dead_code()


def _continued(joined: fx.Node, dim: int) -> tuple[fx.Node | None, int]:
    """The tensor that a concatenation continues periodically at both ends, and how far; None if it does not."""
    if joined.target is not aten.cat.default or joined.args[1:] != (dim,) or len(_arguments(joined)[0]) != 3:
        return None, 0
    before, source, after = _arguments(joined)[0]
    n, width = source.meta["val"].shape[dim], before.meta["val"].shape[dim]
    ends = all(part.target is aten.slice.Tensor and part.args[:2] == (source, dim) for part in (before, after))
    if ends and before.args[2:] == (n - width, n) and after.args[2:] == (0, width):
        return source, width
    return None, 0


def _transform(graph: fx.Graph) -> None:
    """Fourier transforms along several dimensions at once, and those of real numbers without a complex copy of them."""
    for node in list(graph.nodes):
        if node.target is aten._fft_c2c.default and len(node.users) == 1:
            source, dims, norm, forward = _arguments(node)
            (user,) = node.users
            same = user.target is aten._fft_c2c.default and user.args[2:] == (norm, forward)
            if same and not set(dims) & set(_arguments(user)[1]):
                _replace(user, aten._fft_c2c.default, source, sorted([*dims, *_arguments(user)[1]]), norm, forward)
    graph.eliminate_dead_code()
    for node in list(graph.nodes):
        if node.target is aten._fft_c2c.default and _arguments(node)[3]:
            copied, dims, norm, _ = _arguments(node)
            if copied.target is aten._to_copy.default and _arguments(copied)[0].meta["val"].dtype.is_floating_point:
                # All the coefficients, also those that are the conjugates of others.
                _replace(node, aten._fft_r2c.default, _arguments(copied)[0], dims, norm, False)
    graph.eliminate_dead_code()


class _Numbers:
    """Values of a graph as a number times another value, `self.of[node]`."""

    def __init__(self, graph: fx.Graph) -> None:
        self.moving = {next(iter(graph.nodes))}  # what depends on the state; the rest is not computed in every step
        self.of: dict[fx.Node, tuple[float, fx.Node]] = {}
        self._products: dict[fx.Node, fx.Node] = {}

    def split(self, value: fx.Node) -> tuple[float, fx.Node]:
        return self.of.get(value, (1.0, value))

    def multiplied(self, value: fx.Node, before: fx.Node) -> fx.Node:
        """The value itself."""
        number, rest = self.split(value)
        if number == 1:
            return rest
        if value not in self._products:
            fixed = _fixed_factor(rest, self.moving) if _product(rest) else None
            if fixed is None:
                self._products[value] = _new(before, aten.mul.Tensor, rest, number)
            else:
                p, x = fixed
                self._products[value] = _new(before, aten.mul.Tensor, _new(before, aten.mul.Tensor, p, number), x)
        return self._products[value]


def _carry_numbers(graph: fx.Graph) -> None:
    """Multiply by numbers where it costs nothing: in sums, and in products with what does not depend on the state."""
    numbers = _Numbers(graph)
    for node in list(graph.nodes):
        inputs = node.all_input_nodes
        if numbers.moving.isdisjoint(inputs):
            continue
        numbers.moving.add(node)
        found = _carried(node, numbers) if node.op == "call_function" and _exact(node) else None
        if found is not None and 1e-9 < abs(found[0]) < 1e9:
            numbers.of[node] = found
            continue
        for value in inputs:
            node.replace_input_with(value, numbers.multiplied(value, node))
    graph.eliminate_dead_code()


def _exact(node: fx.Node) -> bool:
    """Whether a node and what it is computed from are real numbers, or complex ones, of one precision."""
    values = [i.meta["val"] for i in (node, *node.all_input_nodes)]
    if not all(isinstance(value, Tensor) for value in values):
        return False
    kinds: set[torch.dtype] = {value.dtype for value in values}
    return len(kinds) == 1 and all(kind.is_floating_point or kind.is_complex for kind in kinds)


def _carried(node: fx.Node, numbers: _Numbers) -> tuple[float, fx.Node] | None:
    """A node as a number times a node, None where the numbers of its inputs must be multiplied first."""
    target, (first, *rest) = node.target, _arguments(node)
    if target in (aten.stack.default, aten.cat.default):
        parts = [numbers.split(part) for part in first]
        if len({number for number, _ in parts}) > 1:
            return None
        return parts[0][0], _again(node, [part for _, part in parts], *rest)
    if not isinstance(first, fx.Node):
        return None
    number, value = numbers.split(first)
    if target is aten.neg.default:
        return -number, value
    if target is aten.abs.default:
        return abs(number), _again(node, value)
    if target in _LINEAR:
        return number, _again(node, value, *rest)
    if target in (aten.mul.Tensor, aten.div.Tensor) and not node.kwargs:
        return _carried_product(node, numbers)
    if target in _SUMS:
        return _carried_sum(node, numbers)
    if target is aten.rsub.Scalar and len(rest) == 1 and not node.kwargs and isinstance(rest[0], int | float):
        return -number, value if rest[0] == 0 else _new(node, aten.sub.Tensor, value, rest[0] / number)
    return None


def _carried_product(node: fx.Node, numbers: _Numbers) -> tuple[float, fx.Node] | None:
    first, second = _arguments(node)
    number, value = numbers.split(first)
    product = node.target is aten.mul.Tensor
    if isinstance(second, int | float):
        if second == 0:
            return None
        return (number * second if product else number / second), value
    other, divisor = numbers.split(second)
    if not product:
        return number / other, _again(node, value, divisor)
    number *= other
    fixed = _fixed_factor(node, numbers.moving)
    if fixed is not None and number != 1:
        p, _ = fixed
        scaled = _new(node, aten.mul.Tensor, p, number)
        return 1.0, _again(node, scaled, divisor) if p is first else _again(node, value, scaled)
    return number, _again(node, value, divisor)


def _carried_sum(node: fx.Node, numbers: _Numbers) -> tuple[float, fx.Node]:
    first, second = _arguments(node)
    alpha = _weight(node)
    number, value = numbers.split(first)
    if isinstance(second, int | float):
        return number, _new(node, aten.add.Tensor, value, alpha * second / number)
    other, summand = numbers.split(second)
    other *= alpha
    if value is summand:
        return number + other, value
    # The other summand takes the number; a product can take it together with the sum.
    if abs(other) != abs(number) and (other == 1 or (number != 1 and _product(value) and not _product(summand))):
        number, value, other, summand = other, summand, number, value
    if other == -number:
        return number, _new(node, aten.sub.Tensor, value, summand)
    return number, _new(node, aten.add.Tensor, value, summand, **_alpha(other / number))


def _fixed_factor(product: fx.Node, moving: set[fx.Node]) -> tuple[fx.Node, fx.Node] | None:
    """The factor that does not depend on the state and the other one, if there is such a factor."""
    a, b = _arguments(product)
    if not isinstance(a, fx.Node) or not isinstance(b, fx.Node):
        return None
    return (a, b) if a not in moving else (b, a) if b not in moving else None


def _again(node: fx.Node, *args: Any) -> fx.Node:
    """The node with other arguments."""
    return node if args == node.args else _new(node, node.target, *args, **node.kwargs)


def _unnest_sums(graph: fx.Graph) -> None:
    """`a + k (b + c)` as `(a + k b) + k c` where that is a sum with products: each becomes one operation with a sum."""
    waiting = [node for node in graph.nodes if node.target in _SUMS]
    while waiting:
        node = waiting.pop()
        if node.target not in _SUMS or not node.users:
            continue
        first, inner = _arguments(node)
        weight = _weight(node)
        if weight == 1 and _sum_with_product(first) and _begins_with_product(first) and not _begins_with_product(inner):
            first, inner = inner, first
        if isinstance(first, fx.Node) and _sum_with_product(inner):
            b, c = _arguments(inner)
            summed = _new(node, aten.add.Tensor, first, b, **_alpha(weight))
            node.target, node.args, node.kwargs = aten.add.Tensor, (summed, c), _alpha(weight * _weight(inner))
            graph.erase_node(inner)
            waiting += [summed, node]


def _sum_with_product(value: Any) -> bool:
    """Whether it is a sum of tensors that nothing else needs, one of them a product or such a sum again."""
    if not isinstance(value, fx.Node) or value.target not in _SUMS or len(value.users) > 1:
        return False
    b, c = _arguments(value)
    return isinstance(c, fx.Node) and any(_product_of_tensors(i) or _sum_with_product(i) for i in (b, c))


def _begins_with_product(value: Any) -> bool:
    """Whether it is a product, or a sum whose innermost first summand is one, for which no sum is there."""
    while _sum_with_product(value):
        value = value.args[0]
    return _product_of_tensors(value)


def _weight(node: fx.Node) -> float:
    """Of the second summand."""
    alpha: Any = node.kwargs.get("alpha", 1)
    return float(alpha if node.target is aten.add.Tensor else -alpha)


def _alpha(weight: float) -> dict[str, float]:
    return {} if weight == 1 else {"alpha": weight}


def _add_products(graph: fx.Graph) -> None:
    """`a ± number b c` and `a ± number b` in one operation, where nothing else needs the product."""
    for node in list(graph.nodes):
        if node.target not in _SUMS:
            continue
        weight = _weight(node)
        summand, product = _arguments(node)
        if weight == 1 and not _product(product):
            summand, product = product, summand
        if not isinstance(summand, fx.Node) or not _product(product):
            continue
        b, c = _arguments(product)
        kinds = {i.meta["val"].dtype for i in (summand, b, c) if isinstance(i, fx.Node)}
        kind = kinds.pop()
        if kinds or not (kind.is_floating_point or kind.is_complex):
            continue
        if isinstance(c, fx.Node):
            _replace(node, aten.addcmul.default, summand, b, c, **({} if weight == 1 else {"value": weight}))
        else:
            _replace(node, aten.add.Tensor, summand, b, alpha=weight * c)
    graph.eliminate_dead_code()


def _product(value: Any) -> bool:
    return isinstance(value, fx.Node) and value.target is aten.mul.Tensor and len(value.users) == 1


def _product_of_tensors(value: Any) -> bool:
    return _product(value) and isinstance(value.args[1], fx.Node)


def _stack(graph: fx.Graph) -> None:
    """A concatenation of tensors with a new dimension each is their stack."""
    for node in list(graph.nodes):
        if node.target is aten.cat.default:
            parts, dim = _arguments(node)
            if all(part.target is aten.unsqueeze.default and part.args[1] == dim for part in parts):
                _replace(node, aten.stack.default, [_arguments(part)[0] for part in parts], dim)
    graph.eliminate_dead_code()


def _arguments(node: fx.Node) -> tuple[Any, ...]:
    return node.args


def _new(node: fx.Node, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
    """A new node before another one, with the tensor without memory that it gives."""
    with node.graph.inserting_before(node):
        new = node.graph.call_function(target, args, kwargs)
    values: Any = fx.node.map_arg((args, kwargs), lambda i: i.meta["val"])
    new.meta["val"] = target(*values[0], **values[1])
    return new


def _replace(node: fx.Node, target: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Another node in the place of one."""
    node.replace_all_uses_with(_new(node, target, *args, **kwargs))
    node.graph.erase_node(node)
