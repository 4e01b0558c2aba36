"""Errors of rollouts against the truth, and of estimates against true values."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def nrmse_per_step(prediction: Tensor, truth: Tensor) -> tuple[list[float], list[int]]:
    """‖prediction - truth‖₂ / ‖truth‖₂ over channels and space, averaged over simulations, for each step.

    Args:
        prediction, truth: `[S, T, C, *space]`; NaN in the truth is missing, and left out of both norms.

    Returns:
        The error of each step, NaN where all of the truth is missing, and the steps (from 1) in which some truth is
        so near zero (below 1e-12 of the largest) that the ratio says nothing: such simulations are left out of that
        step's mean.
    """
    axes = tuple(range(2, truth.ndim))
    given = ~truth.isnan()
    size = torch.linalg.vector_norm(torch.where(given, truth, 0.0), dim=axes)
    error = torch.linalg.vector_norm(torch.where(given, prediction.to(truth.dtype) - truth, 0.0), dim=axes)
    seen = given.flatten(2).any(dim=2)
    usable = size > 1e-12 * size.max()
    ratio = torch.where(usable, error / torch.where(usable, size, torch.ones_like(size)), torch.zeros_like(error))
    mean = ratio.sum(dim=0) / usable.sum(dim=0).clamp_min(1)
    mean = torch.where(seen.any(dim=0), mean, math.nan)
    flagged = (seen & ~usable).any(dim=0).nonzero().flatten()
    return [float(v) for v in mean], [int(i) + 1 for i in flagged]


def masked_nrmse(prediction: Tensor, observed: Tensor, mask: Tensor) -> float:
    """‖prediction - observed‖₂ / ‖observed‖₂ over the observed entries of all simulations and steps.

    NaN where nothing is observed; infinity where the prediction is not finite.
    """
    observed = observed.to(prediction.dtype)
    zero = torch.zeros((), dtype=prediction.dtype)
    error = torch.where(mask, prediction - observed, zero)
    if not bool(torch.isfinite(error).all()):
        return float("inf")
    return float(torch.linalg.vector_norm(error) / torch.linalg.vector_norm(torch.where(mask, observed, zero)))
