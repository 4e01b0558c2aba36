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
        r: the residuals at the points, `[K, N]`, if they are there already.
    """
    count, p = z.shape
    signs = torch.where(z + step > upper, -1.0, 1.0).to(z)
    copies = z[:, None, :] + step * torch.diag_embed(signs)
    batch = copies.reshape(count * p, p)
    if r is None:
        both = residuals(torch.cat([z, batch]))
        at_points, moved = both[:count], both[count:]
    else:
        at_points, moved = r, residuals(batch)
    quotients = (moved.reshape(count, p, -1) - at_points[:, None]) / (step * signs[:, :, None])
    jacobian = quotients.transpose(1, 2)
    return (at_points, jacobian) if r is None else jacobian


def central_jacobian(
    residuals: Residuals, point: Tensor, lower: Tensor, upper: Tensor, step: float = 1e-5
) -> tuple[Tensor, Tensor]:
    """Residuals r `[N]` and ∂r/∂z `[N, p]` at one point `[p]`, error of order step², 2p + 1 copies in one batch.

    Central differences; where one would leave the box, the parabola through two points on its other side.
    """
    p = point.shape[0]
    first, second = torch.full_like(point, step), torch.full_like(point, -step)
    first, second = torch.where(point - step < lower, 2 * step, first), torch.where(point - step < lower, step, second)
    above = (point + step > upper) & (point - step >= lower)
    first, second = torch.where(above, -2 * step, first), torch.where(above, -step, second)
    copies = torch.cat([point[None], point + torch.diag(first), point + torch.diag(second)])
    values = residuals(copies)
    residual = values[0]
    rises = [(v - residual) / offset[:, None] for v, offset in ((values[1 : p + 1], first), (values[p + 1 :], second))]
    share = (first / (first - second))[:, None]
    return residual, (share * rises[1] + (1 - share) * rises[0]).T


def reverse_jacobian(residuals: Callable[[Tensor], Tensor], point: Tensor) -> Tensor:
    """∂r/∂z `[N, p]` at one point `[p]` by reverse mode, one backward pass per row: for fewer residuals than unknowns.

    Args:
        residuals: `[p]` to `[N]`, with gradient.
    """
    leaf = point.detach().clone().requires_grad_(True)
    r = residuals(leaf)
    rows = [torch.autograd.grad(entry, leaf, retain_graph=True)[0] for entry in r]
    return torch.stack(rows) if rows else point.new_zeros((0, len(point)))
