"""Complex numbers as pairs of real ones, where only sums and real factors meet them."""

from __future__ import annotations

from torch import fx

from hyco.stepping.rewrites.nodes import SUMS, arguments, aten, exact, is_complex, moving_nodes, new, real_of


def use_pairs(graph: fx.Graph) -> None:
    """Sums of complex numbers, and their products with real ones, of the real and the imaginary parts side by side.

    With z = x + iy as (x, y), a z + b w is a (x, y) + b (u, v) for real a and b: half of the multiplications, no
    conjugates in the gradient, and a compiler generates code for it, which it does not for complex numbers. Products of
    two complex numbers stay as they are, and a product alone between two transforms. Only for what depends on the
    state.
    """
    moving = moving_nodes(graph)
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
        elif node.target in SUMS and all(map(is_complex, node.args)) and exact(node):
            first, second = arguments(node)
            _put(node, new(node, node.target, pair(first, node), pair(second, node), **node.kwargs), pairs, moving)
        elif node.target is aten.mul.Tensor and is_complex(node):
            first, second = arguments(node)
            if isinstance(second, fx.Node) and second in moving:
                first, second = second, first
            if first not in pairs and not any(map(_takes_pairs, node.users)):
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
    graph.eliminate_dead_code()


def _put(node: fx.Node, made: fx.Node, pairs: dict[fx.Node, fx.Node], moving: set[fx.Node]) -> None:
    """Put a pair in the place of a node."""
    number = new(node, aten.view_as_complex.default, made)
    pairs[number] = made
    moving |= {number, made}
    node.replace_all_uses_with(number)
    node.graph.erase_node(node)


def _takes_pairs(user: fx.Node) -> bool:
    return user.target in SUMS or user.target is aten.mul.Tensor
