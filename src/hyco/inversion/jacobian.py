"""Jacobians of residuals: difference quotients in one batch, or reverse mode row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

import torch
from torch import Tensor

Residuals = Callable[[Tensor], Tensor]


@overload
def forward_jacobian(
    residuals: Residuals, z: Tensor, r: None, lower: Tensor, upper: Tensor, step: float
) -> tuple[Tensor, Tensor]: ...
@overload
def forward_jacobian(
    residuals: Residuals, z: Tensor, r: Tensor, lower: Tensor, upper: Tensor, step: float
) -> Tensor: ...
def forward_jacobian(
    residuals: Residuals, z: Tensor, r: Tensor | None, lower: Tensor, upper: Tensor, step: float = 1e-6
) -> Tensor | tuple[Tensor, Tensor]:
    """∂r/∂z `[K, N, p]` at points `[K, p]` by one-sided differences, error of order `step`.

    All K·p perturbed copies (and the K points themselves, where `r` is None: then the residuals are returned too) are
    in the batch of one call. A copy that would leave the box is perturbed to the other side.

    Args:
        residuals: `[M, p]` to `[M, N]`.
        r: the residuals at the points, `[K, N]`, if they are known.
    """
    count, p = z.shape
    signs = torch.where(z + step > upper, -1.0, 1.0).to(z)
    copies = z[:, None, :] + step * torch.diag_embed(signs)
    batch = copies.reshape(count * p, p)
    if r is None:
        both = residuals(torch.cat([z, batch]))
        found, rest = both[:count], both[count:]
    else:
        found, rest = r, residuals(batch)
    quotients = (rest.reshape(count, p, -1) - found[:, None]) / (step * signs[:, :, None])
    jacobian = quotients.transpose(1, 2)
    return (found, jacobian) if r is None else jacobian


def central_jacobian(residuals: Residuals, point: Tensor, step: float = 1e-4) -> Tensor:
    """∂r/∂z `[N, p]` at one point `[p]` by central differences, error of order step², 2p copies in one batch."""
    p = point.shape[0]
    offsets = step * torch.eye(p, dtype=point.dtype, device=point.device)
    values = residuals(torch.cat([point + offsets, point - offsets]))
    return ((values[:p] - values[p:]) / (2 * step)).T


def reverse_jacobian(residuals: Callable[[Tensor], Tensor], point: Tensor) -> Tensor:
    """∂r/∂z `[N, p]` at one point `[p]` by reverse mode, one backward pass per row: for fewer residuals than unknowns.

    Args:
        residuals: `[p]` to `[N]`, with gradient.
    """
    leaf = point.detach().clone().requires_grad_(True)
    r = residuals(leaf)
    rows = [torch.autograd.grad(entry, leaf, retain_graph=True)[0] for entry in r]
    return torch.stack(rows) if rows else point.new_zeros((0, len(point)))
