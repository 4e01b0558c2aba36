"""What the rewrites read from nodes of a graph and put in their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

aten = torch.ops.aten


def arguments(node: fx.Node) -> tuple[Any, ...]:
    """The positional arguments of a node."""
    return node.args


def new(node: fx.Node, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
    """A new node before another one, with the tensor without memory that it gives."""
    with node.graph.inserting_before(node):
        made = node.graph.call_function(target, args, kwargs)
    values: Any = fx.node.map_arg((args, kwargs), lambda i: i.meta["val"])
    made.meta["val"] = target(*values[0], **values[1])
    return made


def replace(node: fx.Node, target: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Another node in the place of one."""
    node.replace_all_uses_with(new(node, target, *args, **kwargs))
    node.graph.erase_node(node)


def is_product(value: Any) -> bool:
    """Whether a value is a product that is needed once."""
    return isinstance(value, fx.Node) and value.target is aten.mul.Tensor and len(value.users) == 1
