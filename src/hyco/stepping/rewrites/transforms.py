"""Fourier transforms of real numbers to half of their coefficients and back, with gradients that are such ones too.

Those of torch take a transform of as many complex numbers as there are real ones, or change tensors in place.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import _disable_current_modes

from hyco.stepping.rewrites.nodes import arguments, aten


def use_real_gradients(graph: fx.Graph) -> None:
    """Transforms between real numbers and half of their coefficients by those below."""
    for node in graph.nodes:
        if node.target is aten._fft_r2c.default and arguments(node)[3]:
            node.target, node.args = real_transform, arguments(node)[:3]
        elif node.target is aten._fft_c2r.default:
            node.target = real_inverse


def real_transform(values: Tensor, dims: list[int], norm: int) -> Tensor:
    """Half of the coefficients of real values; arguments as of `aten._fft_r2c`."""
    if not (torch.is_grad_enabled() and values.requires_grad):
        return torch._fft_r2c(values, dims, norm, True)
    found: Tensor = _Forward.apply(values, tuple(dims), norm)  # type: ignore[no-untyped-call]
    return found


def real_inverse(coefficients: Tensor, dims: list[int], norm: int, size: int) -> Tensor:
    """Real values of half of their coefficients; arguments as of `aten._fft_c2r`."""
    if not (torch.is_grad_enabled() and coefficients.requires_grad):
        return torch._fft_c2r(coefficients, dims, norm, size)
    found: Tensor = _Inverse.apply(coefficients, tuple(dims), norm, size)  # type: ignore[no-untyped-call]
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
        halves = slope / _times_counted(size, slope, dims[-1])
        return torch._fft_c2r(halves, dims, norm, size), None, None


class _Inverse(torch.autograd.Function):
    """The other way round: x(n) counts X(k) for k and -k, where there are both."""

    @staticmethod
    def forward(ctx: Any, coefficients: Tensor, dims: tuple[int, ...], norm: int, size: int) -> Tensor:
        ctx.plan = (dims, norm, size)
        return torch._fft_c2r(coefficients, dims, norm, size)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None, None]:
        dims, norm, size = ctx.plan
        found = torch._fft_r2c(slope, dims, norm, True)
        return found * _times_counted(size, found, dims[-1]), None, None, None


def _times_counted(size: int, coefficients: Tensor, dim: int) -> Tensor:
    """How many of all coefficients each of the half stands for, along one dimension of a tensor like that."""
    counts = _counts(size, coefficients.real.dtype, coefficients.device)
    return counts.reshape(-1, *[1] * (coefficients.ndim - 1 - dim % coefficients.ndim))


@lru_cache(maxsize=64)
def _counts(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with _disable_current_modes():  # a tensor with memory, also while a step is recorded
        counts = torch.full([size // 2 + 1], 2.0, dtype=dtype, device=device)
        counts[0] = 1.0
        if size % 2 == 0:
            counts[-1] = 1.0
        return counts
