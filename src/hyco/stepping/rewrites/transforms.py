"""Fourier transforms of real numbers with half of their coefficients, and their gradients.

That of torch for the forward transform takes one of as many complex numbers as there are real ones, that for the
inverse transform changes tensors in place.
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


def without_changes_in_place(graph: fx.Graph) -> fx.GraphModule:
    """A step whose gradient changes no tensor in place, for what records or compiles it with its gradient."""
    pure = fx.Graph()
    pure.output(pure.graph_copy(graph, {}))
    for node in pure.nodes:
        if node.target is real_transform:
            node.target = _forward
        elif node.target is torch._fft_c2r:
            node.target = _inverse
    module = graph.owning_module
    assert module is not None
    return fx.GraphModule(module, pure)


def real_transform(values: Tensor, dims: list[int], norm: int) -> Tensor:
    """Half of the coefficients of real values; arguments as of `aten._fft_r2c`."""
    if not (torch.is_grad_enabled() and values.requires_grad):
        return torch._fft_r2c(values, dims, norm, True)
    found: Tensor = _ForwardInPlace.apply(values, dims, norm)  # type: ignore[no-untyped-call]
    return found


def _forward(values: Tensor, dims: list[int], norm: int) -> Any:
    return _Forward.apply(values, dims, norm)  # type: ignore[no-untyped-call]


def _inverse(coefficients: Tensor, dims: list[int], norm: int, size: int) -> Any:
    return _Inverse.apply(coefficients, dims, norm, size)  # type: ignore[no-untyped-call]


class _Forward(torch.autograd.Function):
    """X(k) = Σ x(n) exp(-ikn) for k ≥ 0: with the slope G by X that by x is Re Σ G(k) exp(ikn), over k ≥ 0 alone.

    The inverse transform of real numbers takes G(k) for k and -k, where there are both: half of it for each.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, dims: list[int], norm: int) -> Tensor:
        ctx.plan = (dims, norm, values.shape[dims[-1]])
        return torch._fft_r2c(values, dims, norm, True)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        dims, norm, size = ctx.plan
        halves = _times(slope, 1 / _counts(size, slope, dims[-1]))
        return torch._fft_c2r(halves, dims, norm, size), None, None


class _ForwardInPlace(_Forward):
    """The same with fewer operations."""

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        dims, norm, size = ctx.plan
        halves = slope * 0.5
        halves.select(dims[-1], 0).mul_(2.0)
        if size % 2 == 0:
            halves.select(dims[-1], size // 2).mul_(2.0)
        return torch._fft_c2r(halves, dims, norm, size), None, None


class _Inverse(torch.autograd.Function):
    """Real values of half of their coefficients."""

    @staticmethod
    def forward(ctx: Any, coefficients: Tensor, dims: list[int], norm: int, size: int) -> Tensor:
        ctx.plan = (dims, norm, size)
        return torch._fft_c2r(coefficients, dims, norm, size)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None, None]:
        dims, norm, size = ctx.plan
        found = torch._fft_r2c(slope, dims, norm, True)
        return _times(found, _counts(size, found, dims[-1])), None, None, None


def _times(coefficients: Tensor, factor: Tensor) -> Tensor:
    """Complex numbers times real ones, as pairs."""
    return torch.view_as_complex(torch.view_as_real(coefficients.resolve_conj()) * factor[..., None])


def _counts(size: int, coefficients: Tensor, dim: int) -> Tensor:
    """How many of all coefficients each of the half stands for, along one dimension of a tensor like that."""
    alone = 2 - size % 2
    like: dict[str, Any] = {"dtype": coefficients.real.dtype}
    if not coefficients.is_meta:  # as in a recording, which is of no device
        like["device"] = coefficients.device
    counts = [torch.ones(1, **like), torch.full([size // 2 + 1 - alone], 2.0, **like)]
    counts += [torch.ones(1, **like)] * (alone - 1)
    return torch.cat(counts).reshape(-1, *[1] * (coefficients.ndim - 1 - dim % coefficients.ndim))
