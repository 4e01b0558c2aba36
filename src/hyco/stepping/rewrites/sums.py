"""Numbers, products and sums: as few operations as they can be."""

from __future__ import annotations

from typing import Any

from torch import fx

from hyco.stepping.rewrites.nodes import (
    SUMS,
    alpha_of,
    arguments,
    aten,
    drop_unused,
    exact,
    fixed_factor,
    is_product,
    new,
    replace,
    weight_of,
)

# Of a number times a tensor they give that number times what they give of the tensor.
_LINEAR = {aten.slice.Tensor, aten.select.int, aten.unsqueeze.default, aten.permute.default, aten.roll.default}
_LINEAR |= {aten.reshape.default, aten.expand.default, aten.view_as_real.default}
_LINEAR |= {aten._fft_r2c.default, aten._fft_c2c.default, aten._fft_c2r.default}


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
            fixed = fixed_factor(rest, self.moving) if is_product(rest) else None
            if fixed is None:
                self._products[value] = new(before, aten.mul.Tensor, rest, number)
            else:
                p, x = fixed
                self._products[value] = new(before, aten.mul.Tensor, new(before, aten.mul.Tensor, p, number), x)
        return self._products[value]


def carry_numbers(graph: fx.Graph) -> None:
    """Multiply by numbers where it costs nothing: in sums, and in products with what does not depend on the state."""
    numbers = _Numbers(graph)
    for node in list(graph.nodes):
        inputs = node.all_input_nodes
        if numbers.moving.isdisjoint(inputs):
            continue
        numbers.moving.add(node)
        carried = _carried(node, numbers) if node.op == "call_function" and exact(node) else None
        if carried is not None and 1e-9 < abs(carried[0]) < 1e9:
            numbers.of[node] = carried
            continue
        for value in inputs:
            node.replace_input_with(value, numbers.multiplied(value, node))
    drop_unused(graph)


def _carried(node: fx.Node, numbers: _Numbers) -> tuple[float, fx.Node] | None:
    """A node as a number times a node, None where the numbers of its inputs must be multiplied first."""
    target, (first, *rest) = node.target, arguments(node)
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
    if target in SUMS:
        return _carried_sum(node, numbers)
    if target is aten.rsub.Scalar and len(rest) == 1 and not node.kwargs and isinstance(rest[0], int | float):
        return -number, value if rest[0] == 0 else new(node, aten.sub.Tensor, value, rest[0] / number)
    return None


def _carried_product(node: fx.Node, numbers: _Numbers) -> tuple[float, fx.Node] | None:
    first, second = arguments(node)
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
    fixed = fixed_factor(node, numbers.moving)
    if fixed is not None and number != 1 and not _is_summand(node):
        p, _ = fixed
        scaled = new(node, aten.mul.Tensor, p, number)
        return 1.0, _again(node, scaled, divisor) if p is first else _again(node, value, scaled)
    return number, _again(node, value, divisor)


def _carried_sum(node: fx.Node, numbers: _Numbers) -> tuple[float, fx.Node]:
    first, second = arguments(node)
    alpha = weight_of(node)
    number, value = numbers.split(first)
    if isinstance(second, int | float):
        return number, new(node, aten.add.Tensor, value, alpha * second / number)
    other, summand = numbers.split(second)
    other *= alpha
    if value is summand:
        return number + other, value
    # The other summand takes the number; a product can take it together with the sum.
    if abs(other) != abs(number) and (other == 1 or (number != 1 and is_product(value) and not is_product(summand))):
        number, value, other, summand = other, summand, number, value
    if other == -number:
        return number, new(node, aten.sub.Tensor, value, summand)
    return number, new(node, aten.add.Tensor, value, summand, **alpha_of(other / number))


def _is_summand(value: fx.Node) -> bool:
    """Whether it is needed, but for numbers that it is multiplied by, in one sum only, which can take them with it."""
    while len(value.users) == 1:
        (value,) = value.users
        if value.target in SUMS:
            return True
        scaled = value.target in (aten.mul.Tensor, aten.div.Tensor) and isinstance(value.args[1], int | float)
        if not scaled and value.target is not aten.neg.default:
            return False
    return False


def _again(node: fx.Node, *args: Any) -> fx.Node:
    """The node with other arguments."""
    return node if args == node.args else new(node, node.target, *args, **node.kwargs)


def unnest_sums(graph: fx.Graph) -> None:
    """`a + k (b + c)` as `(a + k b) + k c` where that is a sum with products: each becomes one operation with a sum."""
    waiting = [node for node in graph.nodes if node.target in SUMS]
    while waiting:
        node = waiting.pop()
        if node.target not in SUMS or not node.users:
            continue
        first, inner = arguments(node)
        weight = weight_of(node)
        if weight == 1 and _sum_with_product(first) and _begins_with_product(first) and not _begins_with_product(inner):
            first, inner = inner, first
        if isinstance(first, fx.Node) and first is not inner and _sum_with_product(inner):
            b, c = arguments(inner)
            summed = new(node, aten.add.Tensor, first, b, **alpha_of(weight))
            node.target, node.args, node.kwargs = aten.add.Tensor, (summed, c), alpha_of(weight * weight_of(inner))
            graph.erase_node(inner)
            waiting += [summed, node]


def _sum_with_product(value: Any) -> bool:
    """Whether it is a sum of tensors that nothing else needs, one of them a product or such a sum again."""
    if not isinstance(value, fx.Node) or value.target not in SUMS or len(value.users) > 1:
        return False
    b, c = arguments(value)
    return isinstance(c, fx.Node) and any(_product_of_tensors(i) or _sum_with_product(i) for i in (b, c))


def _begins_with_product(value: Any) -> bool:
    """Whether it is a product, or a sum whose innermost first summand is one, for which no sum is there."""
    while _sum_with_product(value):
        value = value.args[0]
    return _product_of_tensors(value)


def add_products(graph: fx.Graph) -> None:
    """`a ± number b c` and `a ± number b` in one operation, where nothing else needs the product."""
    for node in list(graph.nodes):
        if node.target not in SUMS:
            continue
        weight = weight_of(node)
        summand, product = arguments(node)
        if weight == 1 and not is_product(product):
            summand, product = product, summand
        if not isinstance(summand, fx.Node) or not is_product(product):
            continue
        b, c = arguments(product)
        kinds = {i.meta["val"].dtype for i in (summand, b, c) if isinstance(i, fx.Node)}
        kind = kinds.pop()
        if kinds or not (kind.is_floating_point or kind.is_complex):
            continue
        if isinstance(c, fx.Node):
            replace(node, aten.addcmul.default, summand, b, c, **({} if weight == 1 else {"value": weight}))
        elif not isinstance(c, complex):  # no sum takes a complex number with it
            replace(node, aten.add.Tensor, summand, b, alpha=weight * c)
    drop_unused(graph)


def _product_of_tensors(value: Any) -> bool:
    return is_product(value) and isinstance(value.args[1], fx.Node)
