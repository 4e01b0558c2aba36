"""Arithmetic of complex numbers as that of real ones, of which a compiler makes loops."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from hyco.stepping.rewrites.nodes import arguments, drop_unused

_SUMS = {torch.add, torch.sub}
_TRANSFORMS = {torch._fft_c2c, torch._fft_c2r}


def compute_with_pairs(module: fx.GraphModule) -> None:
    """Sums and products of complex tensors as those of pairs (x, y) for x + iy, in a step that calls torch's functions.

    (x, y) (a, b) is (x a - y b, x b + y a); of a constant that is real or imaginary two of the four products are left.
    A compiler generates nothing for complex numbers, but calls the operations one by one, each with a pass through
    memory; these become part of the loops around them, so that only the transforms are left. For an interpreter they
    would be more operations: `use_pairs` has what is a gain there.
    """
    _Pairs(module).rewrite()


class _Pairs:
    """The pairs of the complex nodes of a step."""

    def __init__(self, module: fx.GraphModule) -> None:
        self._module, self._graph = module, module.graph
        self._pairs: dict[fx.Node, fx.Node] = {}
        self._parts: dict[fx.Node, tuple[fx.Node | None, fx.Node | None]] = {}

    def rewrite(self) -> None:
        """Put pairs in the place of complex nodes, in the order of the graph."""
        for node in list(self._graph.nodes):
            if node.target is torch.view_as_real and self._pairs.setdefault(arguments(node)[0], node) is not node:
                node.replace_all_uses_with(self._pairs[arguments(node)[0]])
            if node.op != "call_function" or not self._is_complex(node):
                continue
            with self._graph.inserting_before(node):
                made = self._pair_of(node)
                if made is None:
                    continue
                number = self._call(torch.view_as_complex, made)
            number.meta, self._pairs[number] = dict(node.meta), made
            node.replace_all_uses_with(number)
            self._graph.erase_node(node)
        drop_unused(self._graph)

    def _pair_of(self, node: fx.Node) -> fx.Node | None:
        """What a node is as a pair; None where it stays as it is."""
        given = arguments(node)
        if not self._of_one_precision(node) or any(isinstance(value, complex) for value in node.kwargs.values()):
            return None
        numbers = [isinstance(i, fx.Node) and self._is_complex(i) for i in given]
        if node.target is torch.mul and any(numbers):
            if not all(numbers):
                return self._scaled(*(given if numbers[0] else given[::-1]))
            return None if self._is_alone(node) else self._product(*given)
        if not all(numbers):
            return None
        if node.target in _SUMS:
            return self._call(node.target, *map(self._pair, given), **node.kwargs)
        if node.target is torch.addcmul:
            summand, *factors = given
            alpha = {"alpha": weight} if (weight := node.kwargs.get("value", 1)) != 1 else {}
            return self._call(torch.add, self._pair(summand), self._product(*factors), **alpha)
        return None

    def _is_alone(self, product: fx.Node) -> bool:
        """Whether a product is one of a transform's result that nothing else takes, and goes to a transform itself.

        It is one pass through memory in any case, and vector instructions do not like pairs.
        """
        given = product.all_input_nodes
        if any(i.op == "get_attr" or i in self._pairs or (i.op == "call_function" and len(i.users) > 1) for i in given):
            return False
        return all(user.target in _TRANSFORMS for user in product.users)

    def _scaled(self, z: fx.Node, factor: Any) -> fx.Node | None:
        """A pair times real numbers."""
        if isinstance(factor, complex):
            return None
        if isinstance(factor, fx.Node):
            factor = self._call(torch.unsqueeze, factor, -1)
        return self._call(torch.mul, self._pair(z), factor)

    def _product(self, z: fx.Node, factor: fx.Node) -> fx.Node:
        x, y = self._both(z)
        a, b = self._both(factor)

        def times(one: fx.Node | None, other: fx.Node | None) -> fx.Node | None:
            return None if one is None or other is None else self._call(torch.mul, one, other)

        real = self._sum(torch.sub, times(x, a), times(y, b))
        imaginary = self._sum(torch.add, times(x, b), times(y, a))
        return self._call(torch.stack, [real, imaginary], -1)

    def _sum(self, target: Any, first: fx.Node | None, second: fx.Node | None) -> fx.Node:
        """A sum or difference of which at least one is there."""
        if first is None:
            assert second is not None
            return self._call(torch.neg, second) if target is torch.sub else second
        return first if second is None else self._call(target, first, second)

    def _pair(self, z: fx.Node) -> fx.Node:
        """Real and imaginary part side by side."""
        if z not in self._pairs:
            self._pairs[z] = self._call(torch.view_as_real, z)
        return self._pairs[z]

    def _both(self, z: fx.Node) -> tuple[fx.Node | None, fx.Node | None]:
        """Real and imaginary part; None for that of a constant which is zero, where the other one is not."""
        if z not in self._parts:
            if z.op == "get_attr":
                self._parts[z] = self._parts_of_constant(z)
            else:
                pair = self._pair(z)
                self._parts[z] = (self._call(torch.select, pair, -1, 0), self._call(torch.select, pair, -1, 1))
        return self._parts[z]

    def _parts_of_constant(self, z: fx.Node) -> tuple[fx.Node | None, fx.Node | None]:
        value: Tensor = getattr(self._module, str(z.target))
        parts: list[fx.Node | None] = []
        for name, part, other in (("real", value.real, value.imag), ("imaginary", value.imag, value.real)):
            if not bool(part.any()) and (bool(other.any()) or name == "imaginary"):
                parts.append(None)
                continue
            attribute = f"{z.target}_{name}"
            if not hasattr(self._module, attribute):
                self._module.register_buffer(attribute, part.contiguous())
            parts.append(self._graph.get_attr(attribute))
        return parts[0], parts[1]

    def _of_one_precision(self, node: fx.Node) -> bool:
        """Whether a node has the precision of all that it is computed from."""
        kinds = {
            value.dtype.to_complex() for i in (node, *node.all_input_nodes) if (value := self._like(i)) is not None
        }
        return len(kinds) == 1

    def _is_complex(self, node: fx.Node) -> bool:
        value = self._like(node)
        return value is not None and value.is_complex()

    def _like(self, node: fx.Node) -> Tensor | None:
        """A tensor of its kind, if it is known to be one."""
        if node.op == "get_attr":
            value = getattr(self._module, str(node.target))
        else:
            value = node.meta.get("val", node.meta.get("recorded"))
        return value if isinstance(value, Tensor) else None

    def _call(self, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
        return self._graph.call_function(target, args, kwargs)
