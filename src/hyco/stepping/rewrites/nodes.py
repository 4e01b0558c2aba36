"""What the rewrites read from nodes of a graph and put in their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from hyco.stepping.shapes import without_memory

aten = torch.ops.aten

SUMS = {aten.add.Tensor, aten.sub.Tensor}

_REAL_AND_COMPLEX = {aten.view_as_real.default, aten._fft_r2c.default, aten._fft_c2r.default}


def arguments(node: fx.Node) -> tuple[Any, ...]:
    """The positional arguments of a node."""
    return node.args


def new(node: fx.Node, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
    """A new node before another one, with the tensor without memory that it gives."""
    with node.graph.inserting_before(node):
        made = node.graph.call_function(target, args, kwargs)
    values: Any = fx.node.map_arg((args, kwargs), lambda i: i.meta["val"])
    made.meta["val"] = without_memory(target, *values)
    return made


def replace(node: fx.Node, target: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Another node in the place of one."""
    node.replace_all_uses_with(new(node, target, *args, **kwargs))
    node.graph.erase_node(node)


def drop_unused(graph: fx.Graph) -> None:
    """Leave out what nothing needs.

    What is recorded changes no tensor in place (`hyco.stepping.graph`), so that nothing else asks for it; that of torch
    looks for that in each node, and checks the whole graph, which took a quarter of the time of a recording.
    """
    for node in reversed(graph.nodes):
        if not node.users and node.op not in ("placeholder", "output"):
            graph.erase_node(node)


def is_product(value: Any) -> bool:
    """Whether a value is a product that is needed once."""
    return isinstance(value, fx.Node) and value.target is aten.mul.Tensor and len(value.users) == 1


def is_complex(value: Any) -> bool:
    """Whether a value is a tensor of complex numbers."""
    tensor = value.meta.get("val") if isinstance(value, fx.Node) else None
    return isinstance(tensor, Tensor) and tensor.is_complex()


def real_of(value: fx.Node) -> fx.Node | None:
    """The real numbers that complex ones are copies of, in the same precision; None if they are not."""
    if value.target is not aten._to_copy.default or not is_complex(value):
        return None
    real: fx.Node = arguments(value)[0]
    return real if real.meta["val"].dtype == value.meta["val"].real.dtype else None


def moving_nodes(graph: fx.Graph) -> set[fx.Node]:
    """What depends on the state, the first input; the rest is not computed in every step."""
    moving = {next(iter(graph.nodes))}
    for node in graph.nodes:
        if not moving.isdisjoint(node.all_input_nodes):
            moving.add(node)
    return moving


def exact(node: fx.Node) -> bool:
    """Whether a node and what it is computed from are real numbers, or complex ones, of one precision."""
    if node.target in _REAL_AND_COMPLEX:
        return True
    values = [i.meta["val"] for i in (node, *node.all_input_nodes)]
    if not all(isinstance(value, Tensor) for value in values):
        return False
    kinds: set[torch.dtype] = {value.dtype for value in values}
    return len(kinds) == 1 and all(kind.is_floating_point or kind.is_complex for kind in kinds)


def fixed_factor(product: fx.Node, moving: set[fx.Node]) -> tuple[fx.Node, fx.Node] | None:
    """The factor that does not depend on the state and the other one, if there is such a factor."""
    a, b = arguments(product)
    if not isinstance(a, fx.Node) or not isinstance(b, fx.Node):
        return None
    return (a, b) if a not in moving else (b, a) if b not in moving else None


def weight_of(node: fx.Node) -> float:
    """Of the second summand."""
    alpha: Any = node.kwargs.get("alpha", 1)
    return float(alpha if node.target is aten.add.Tensor else -alpha)


def alpha_of(weight: float) -> dict[str, float]:
    """The keyword of a sum whose second summand has this weight."""
    return {} if weight == 1 else {"alpha": weight}
