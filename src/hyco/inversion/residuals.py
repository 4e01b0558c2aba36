"""Where the residuals of a fit are larger than the noise: in time and in space."""

from __future__ import annotations

import torch
from torch import Tensor

from hyco.inversion.inverse_problem import InverseProblem


@torch.no_grad()
def residual_summary(problem: InverseProblem, z: Tensor) -> dict[str, Tensor]:
    """Root mean square of the whitened residuals of the real data, 1 where the model and the noise level are right.

    They are in units of σ, whatever scale a robust loss has found for them. Where some channels have noise,
    residuals of the others are left out.

    Args:
        z: coordinates `[q]`.

    Returns:
        `time` `[T+1]` by step from t = 0, 0 where nothing was observed; `space` `[C, *space]`
        by cell, only where the observations are cells.
    """
    data = problem.data
    _, mask = data.up_to(problem.steps)
    r = data.scale * problem.real(z[None].to(problem.device))[0]
    if (noisy := data.noisy(problem.steps)) is not None:
        mask = mask & data.observations.has_noise_of_entries.to(mask.device)
        r = r[noisy]
    squares = torch.zeros(mask.shape, dtype=r.dtype, device=r.device)
    squares[mask] = r.square()
    others = [d for d in range(mask.ndim) if d != 1]
    by_time = torch.zeros(problem.steps + 1, dtype=r.dtype)
    by_time[data.times] = (squares.sum(others) / mask.sum(others).clamp_min(1)).sqrt().cpu()
    summary = {"time": by_time}
    if data.observations.on_grid:
        summary["space"] = (squares.sum((0, 1)) / mask.sum((0, 1)).clamp_min(1)).sqrt().cpu()
    return summary
