"""Which numbers an operation may be of: those of the state alone, and complex ones where there is code for them."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from hyco.stepping.native.elementwise import ELEMENTWISE
from hyco.stepping.native.views import VIEWS, UnsupportedError

# Elementwise operations that have code for imaginary parts. All others would read the real part only.
_OF_COMPLEX = {"add", "sub", "rsub", "mul", "addcmul", "neg", "complex", "_conj", "_conj_physical", "conj_physical"}
_BETWEEN_KINDS = {"view_as_real", "view_as_complex"}


def check_numbers(node: fx.Node, name: str) -> None:
    """Refuse an operation of numbers that its code is not made for.

    Raises:
        UnsupportedError: of more than one precision, of integers, or of complex numbers where only reals are meant.
    """
    made: Tensor = node.meta["val"]
    given = [value for i in node.all_input_nodes if isinstance(value := i.meta["val"], Tensor)]
    if name in VIEWS:
        if name not in _BETWEEN_KINDS and any(tensor.dtype != made.dtype for tensor in given):
            raise UnsupportedError(f"{node.target} to another type")
        return
    numbers = [tensor for tensor in (made, *given) if tensor.dtype != torch.bool]
    if any(not (tensor.is_floating_point() or tensor.is_complex()) for tensor in numbers):
        raise UnsupportedError(f"{node.target} of integers")
    if len({tensor.dtype.to_real() for tensor in numbers}) > 1:
        raise UnsupportedError(f"{node.target} of several precisions")
    if name in ELEMENTWISE and any(tensor.is_complex() for tensor in numbers) and not _has_code(node, name):
        raise UnsupportedError(f"{node.target} of complex numbers")


def _has_code(node: fx.Node, name: str) -> bool:
    """Whether there is code for the imaginary parts too."""
    if name == "_to_copy":
        return bool(node.meta["val"].is_complex())
    if name == "div":
        divisor = node.args[1]
        return not (isinstance(divisor, complex) or (isinstance(divisor, fx.Node) and divisor.meta["val"].is_complex()))
    return name in _OF_COMPLEX


def plain(tensor: Tensor) -> Tensor:
    """A tensor whose memory holds its numbers, in the order of its dimensions."""
    return tensor.resolve_conj().resolve_neg().contiguous()
