"""Complex numbers as pairs of real ones, where only sums and real factors meet them."""

from __future__ import annotations

from typing import Any

from torch import fx

from hyco.stepping.rewrites.nodes import (
    SUMS,
    arguments,
    aten,
    drop_unused,
    exact,
    is_complex,
    is_product,
    moving_nodes,
    new,
    real_of,
)


def use_pairs(graph: fx.Graph) -> None:
    """Sums of complex numbers, and their products with real ones, of the real and the imaginary parts side by side.

    With z = x + iy as (x, y), a z + b w is a (x, y) + b (u, v) for real a and b: half of the multiplications, no
    conjugates in the gradient, and a compiler generates code for it, which it does not for complex numbers. Products of
    two complex numbers stay as they are, and a product alone between two transforms; so do sums of products with
    complex factors, each of which is one operation with the sum. Only for what depends on the state.
    """
    moving = moving_nodes(graph)
    turned = _sums_of_turned(graph, moving)
    pairs: dict[fx.Node, fx.Node] = {}

    def pair(value: fx.Node, before: fx.Node) -> fx.Node:
        if value not in pairs:
            pairs[value] = new(before, aten.view_as_real.default, value)
        return pairs[value]

    for node in list(graph.nodes):
        if node not in moving or node.op != "call_function":
            continue
        if node.target is aten.view_as_real.default:
            (value,) = arguments(node)
            node.replace_all_uses_with(pair(value, node))
        elif node.target in SUMS and all(map(is_complex, node.args)) and exact(node) and node not in turned:
            first, second = arguments(node)
            _put(node, new(node, node.target, pair(first, node), pair(second, node), **node.kwargs), pairs, moving)
        elif node.target is aten.mul.Tensor and is_complex(node):
            first, second = arguments(node)
            if isinstance(second, fx.Node) and second in moving:
                first, second = second, first
            if first not in pairs and not any(_takes_pairs(user) for user in node.users if user not in turned):
                continue  # alone between two transforms: nothing to be put together with
            if not is_complex(first):
                continue
            if isinstance(second, fx.Node):
                real = real_of(second)
                if real is None or second in moving:
                    continue
                second = new(node, aten.stack.default, [real, real], real.meta["val"].ndim)
            elif isinstance(second, complex):
                continue
            _put(node, new(node, aten.mul.Tensor, pair(first, node), second), pairs, moving)
    drop_unused(graph)


def _sums_of_turned(graph: fx.Graph, moving: set[fx.Node]) -> set[fx.Node]:
    """Sums of which a summand is a product with a complex factor that does not depend on the state, or such a sum."""
    turned: set[fx.Node] = set()

    def is_turned(value: Any) -> bool:
        if not is_product(value):
            return value in turned
        factors = [i for i in arguments(value) if isinstance(i, fx.Node)]
        if len(factors) < 2 or not all(map(is_complex, factors)):
            return False
        return any(i not in moving and real_of(i) is None for i in factors)

    for node in graph.nodes:
        if node.target in SUMS and is_complex(node) and any(map(is_turned, node.args)):
            turned.add(node)
    return turned


def _put(node: fx.Node, made: fx.Node, pairs: dict[fx.Node, fx.Node], moving: set[fx.Node]) -> None:
    """Put a pair in the place of a node."""
    number = new(node, aten.view_as_complex.default, made)
    pairs[number] = made
    moving |= {number, made}
    node.replace_all_uses_with(number)
    node.graph.erase_node(node)


def _takes_pairs(user: fx.Node) -> bool:
    return user.target in SUMS or user.target is aten.mul.Tensor
