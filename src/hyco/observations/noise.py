"""Noise that differs from one measurement to the next: σ of each, and what follows for one number per channel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hyco.observations.checks import MeasurementError, as_numbers, check_like
from hyco.observations.statistics import all_but_channels


def as_sigma(values: Any, mask: Tensor) -> Tensor:
    """Standard deviations of measured values, `[S, T+1, C, K…]`, the channel's root mean square where mask is false.

    Args:
        values: positive and finite where something was measured; elsewhere they do not count.
        mask: where something was measured, of the same shape.

    Raises:
        MeasurementError: another shape; or one of them is no standard deviation, says which.
    """
    sigma = as_numbers("sigma_of_values", values)
    check_like("sigma_of_values", sigma, mask.shape, "as values")
    wrong = mask & ~(sigma.isfinite() & (sigma > 0))
    if bool(wrong.any()):
        first = wrong.nonzero()[0].tolist()
        raise MeasurementError(
            f"sigma_of_values must be finite and positive where mask says that something was measured, the standard "
            f"deviation of that value's noise; {int(wrong.sum())} are not, first at {first}: "
            f"{float(sigma[tuple(first)]):g}"
        )
    # No measurement is weighed with the others, but it is divided by: neither 0 nor NaN.
    typical = root_mean_square(sigma, mask, torch.ones(mask.shape[2], dtype=sigma.dtype))
    return torch.where(mask, sigma, typical.reshape(-1, *[1] * (sigma.ndim - 3)))


def root_mean_square(sigma: Tensor, mask: Tensor, otherwise: Tensor) -> Tensor:
    """√(mean σ²) of each channel over what was measured of it, `[C]`; `otherwise` `[C]` where nothing was."""
    count = mask.sum(all_but_channels(mask))
    squares = torch.where(mask, sigma, 0.0).square().sum(all_but_channels(mask))
    return torch.where(count > 0, (squares / count.clamp_min(1)).sqrt(), otherwise)


def channel_sigma(noise_std: Tensor, std: Tensor, noise_free: float, hidden: Tensor) -> Tensor:
    """σ of each channel, `[C]`: that of its noise; without any, `noise_free` of its standard deviation.

    A channel of which nothing is known has the largest noise of the others, each relative to its standard deviation:
    nothing is measured in this unit, but predictions of models are compared in it.
    """
    sigma = torch.where(noise_std > 0, noise_std, noise_free * std)
    return torch.where(hidden, (sigma / std)[~hidden].max() * std, sigma) if bool(hidden.any()) else sigma
