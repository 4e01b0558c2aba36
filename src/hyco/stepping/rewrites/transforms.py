"""The Fourier transform of real numbers to half of their coefficients, with a gradient that is half of one too.

That of torch takes a transform of as many complex numbers as there are real ones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from hyco.stepping.rewrites.nodes import arguments, aten


def use_real_gradients(graph: fx.Graph) -> None:
    """Transforms of real numbers to half of their coefficients by the one below."""
    for node in graph.nodes:
        if node.target is aten._fft_r2c.default and arguments(node)[3]:
            node.target, node.args = real_transform, arguments(node)[:3]


def real_transform(values: Tensor, dims: list[int], norm: int) -> Tensor:
    """Half of the coefficients of real values; arguments as of `aten._fft_r2c`."""
    if not (torch.is_grad_enabled() and values.requires_grad):
        return torch._fft_r2c(values, dims, norm, True)
    found: Tensor = _Forward.apply(values, tuple(dims), norm)  # type: ignore[no-untyped-call]
    return found


class _Forward(torch.autograd.Function):
    """X(k) = Σ x(n) exp(-ikn) for k ≥ 0: with the slope G by X that by x is Re Σ G(k) exp(ikn), over k ≥ 0 alone.

    The inverse transform of real numbers takes G(k) for k and -k, where there are both: half of it for each.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, dims: tuple[int, ...], norm: int) -> Tensor:
        ctx.plan = (dims, norm, values.shape[dims[-1]])
        return torch._fft_r2c(values, dims, norm, True)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        dims, norm, size = ctx.plan
        halves = slope * 0.5
        halves.select(dims[-1], 0).mul_(2.0)
        if size % 2 == 0:
            halves.select(dims[-1], size // 2).mul_(2.0)
        return torch._fft_c2r(halves, dims, norm, size), None, None
