"""Whether measurements leave what an equation's step is made for: then no coefficient could be right."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.observations import Observations
from hyco.observations.checks import MeasurementError

log = logging.getLogger(__name__)

# Standard deviations of the noise that a measurement may exceed the range by.
_NOISE = 4.0


def require_range(equation: Equation, observations: Observations) -> None:
    """Refuse training data with values that the step is not stable or right for, noise allowed for.

    Asked are `Equation.unsuitable`, of the states that were measured in full, and `Equation.exceeded`, of all that was
    measured.

    Raises:
        MeasurementError: says which value is too large, and what to change.
    """
    train, valid = observations.train, equation.layout.valid
    # That of the channels is 0 where no noise is known; `Observations.sigma_at` is a scale there.
    sigma = observations.noise_std.reshape(-1, *[1] * (observations.values.ndim - 3))
    if observations.sigma_of_values is not None:
        sigma = observations.sigma_at(train, slice(None))
    values = _less_noise(observations.values[train], _NOISE * sigma)
    mask = observations.mask[train]
    largest = float(values[mask].abs().max()) if bool(mask.any()) else 0.0
    known = [observations.initial_states[train]] if observations.initial_known else []
    if observations.on_grid:
        known.append(values[(mask | ~valid).flatten(2).all(dim=2)])
    known = [states for states in known if len(states)]
    # States known in full say which values the fields have together, and that they reach as far.
    reasons = [equation.unsuitable(states) for states in known]
    if largest > max((float(states.abs().max()) for states in known), default=0.0):
        reasons.insert(0, equation.exceeded(largest))
    reason = next((each for each in reasons if each is not None), None)
    if reason is not None:
        raise MeasurementError(f"the measurements leave what the equation's step is made for: {reason}")


def measured_in_full(observations: Observations, simulations: Sequence[int]) -> Tensor:
    """The states of some simulations that were measured in every entry, at any time, `[N, C, *space]`."""
    layout = observations.layout
    if not observations.on_grid:
        return torch.empty((0, len(layout.channels), *layout.shape), dtype=torch.float64)
    mask = observations.mask[list(simulations)]
    return observations.values[list(simulations)][(mask | ~layout.valid).flatten(2).all(dim=2)]


def beyond_range(equation: Equation, states: Tensor) -> str:
    """What to add to the word that a rollout from states `[…, C, *space]` is not finite: if they were too fast, that.

    Empty where they were not.
    """
    finite = states[torch.isfinite(states).flatten(1).all(dim=1)]
    reason = equation.unsuitable(finite) if len(finite) else None
    return "" if reason is None else f": {reason}"


def warn_beyond(equation: Equation, states: Tensor) -> None:
    """Say so where a fitted model's own states `[N, C, *space]` leave what the step is made for."""
    if reason := beyond_range(equation, states):
        log.warning("The fitted model's states leave what the equation's step is made for%s", reason)


def _less_noise(values: Tensor, allowance: Tensor) -> Tensor:
    """Values nearer to zero by what noise may have added."""
    return values.sign() * (values.abs() - allowance).clamp_min(0.0)
