"""How well models predict measurements that judge them: of test trajectories, held out, or else the training's own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from hyco.baselines.persistence import persistence
from hyco.evaluation.models import METHODS
from hyco.metrics import masked_nrmse, nrmse_per_step
from hyco.observations import Observations
from hyco.observations.filling import in_cells
from hyco.trained_model import TrainedModel

log = logging.getLogger(__name__)

Judges = Literal["test_sim", "holdout", "training"]


@dataclass(frozen=True)
class MeasuredErrors:
    """Errors of one method against measurements y with noise σ.

    Attributes:
        per_step: ‖H(u) - y‖ / ‖y‖ over the measurements of a step, averaged over simulations.
        overall: the same over all measurements at once, which is not ruled by times at which there is hardly anything;
            None where there is nothing but zeros.
        steps: which steps these are, from 1.
        times: mean time of the measurements of each [time].
        flagged: steps in which some simulation's measurements are so near zero that the ratio says nothing.
        chi_square: mean of ((H(u) - y)/σ)²; None where σ is not known.
        count: number of measurements.
    """

    per_step: list[float]
    overall: float | None
    steps: list[int]
    times: list[float]
    flagged: list[int]
    chi_square: float | None
    count: int

    def to_json(self) -> dict[str, Any]:
        """As values that JSON knows."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> MeasuredErrors:
        """The inverse of `to_json`."""
        return cls(**values)


@dataclass(frozen=True)
class MeasuredRollouts:
    """Rollouts of all methods beside what was measured.

    Attributes:
        states: by method, and `truth`: all that was measured, each value in the cell that it lies in and NaN elsewhere;
            `[S, T, C, *space]`.
        errors: by method.
        judges: which measurements these are against.
        simulations: of the observations, S.
    """

    states: dict[str, Tensor]
    errors: dict[str, MeasuredErrors]
    judges: Judges
    simulations: list[int]


def roll_out_to_measurements(
    observations: Observations, models: Mapping[str, TrainedModel], starts: Mapping[str, Tensor | None]
) -> MeasuredRollouts:
    """Roll every model out from t = 0, and compare it with measurements where and when they were made.

    These are all of the test trajectories; without any, what is held out of the training trajectories; without that
    either, what the models were trained on, which is said in the log.

    Args:
        observations: what was measured.
        models: by method, any of `METHODS` but persistence.
        starts: by method, better initial states of the training trajectories than those measured, `[S, C, *space]`;
            None: there are none.

    Raises:
        ValueError: nothing was measured after t = 0.
    """
    simulations, mask, judges = _judges(observations)
    if not bool(mask[:, 1:].any()):
        raise ValueError("nothing was measured after t = 0 of the test trajectories: there is nothing to compare with")
    measured = observations.initial_states[simulations]
    states = {"truth": _picture(observations, simulations), "persistence": persistence(measured, observations.steps)}
    begun = {"persistence": measured}
    for method in METHODS:
        if method in models:
            own = starts.get(method) if judges != "test_sim" else None
            begun[method] = measured if own is None else own.to(measured)
            states[method] = models[method].rollout(begun[method], observations.steps)
    operator = observations.operator(simulations, 1, observations.steps)
    values = torch.where(mask, observations.values[simulations], torch.nan)[:, 1:]
    times = _times(observations, simulations, mask)
    sigma = None
    if observations.noise_known:
        sigma = observations.sigma_at(simulations, slice(1, None))
        # That of a channel without noise is a scale, not its noise.
        sigma = torch.where(observations.has_noise_of_entries, sigma, torch.inf)
    errors = {
        method: _errors(operator(states[method], before=start), values, sigma, times) for method, start in begun.items()
    }
    return MeasuredRollouts(states, errors, judges, simulations)


def _judges(observations: Observations) -> tuple[list[int], Tensor, Judges]:
    """Simulations, and which of their measurements judge, `[S, T+1, C, K…]`."""
    if observations.test:
        return observations.test, observations.mask[observations.test], "test_sim"
    train = observations.train
    if observations.heldout is not None and bool(observations.heldout[train].any()):
        return train, observations.heldout[train], "holdout"
    log.warning(
        "Models are compared with the measurements that they were trained on, which says little of how they predict: "
        "give observation.holdout (for instance {fraction: 0.2, by: points}), or observation.test_sim."
    )
    return train, observations.mask[train], "training"


def _errors(predicted: Tensor, values: Tensor, sigma: Tensor | None, times: Tensor) -> MeasuredErrors:
    """Of predictions H(u) `[S, T, C, K…]`; values are NaN where there is nothing to compare with."""
    given = ~values.isnan()
    per_step, flagged = nrmse_per_step(predicted, values)
    steps = [int(i) + 1 for i in given.transpose(0, 1).flatten(1).any(dim=1).nonzero().flatten()]
    chi_square = None
    if sigma is not None:
        noisy = given & sigma.isfinite()
        chi_square = float(((predicted - values) / sigma)[noisy].square().mean()) if bool(noisy.any()) else None
    return MeasuredErrors(
        per_step=[per_step[step - 1] for step in steps],
        overall=masked_nrmse(predicted, values, given) if bool(values[given].any()) else None,
        steps=steps,
        times=[float(times[step]) for step in steps],
        flagged=flagged,
        chi_square=chi_square,
        count=int(given.sum()),
    )


def _times(observations: Observations, simulations: list[int], mask: Tensor) -> Tensor:
    """Mean time of the measurements of each state, `[T+1]`; those between states count to the state after them."""
    steps = torch.arange(observations.steps + 1, dtype=torch.float64)
    if observations.offsets is not None:
        offsets = observations.offsets[simulations]
        there = mask.any(dim=2)[..., : offsets.shape[-1]]
        steps += (offsets * there).sum((0, 2)) / there.sum((0, 2)).clamp_min(1)
    return observations.dt * steps


def _picture(observations: Observations, simulations: list[int]) -> Tensor:
    """All that was measured of some simulations in the cells that it lies in, NaN elsewhere, `[S, T, C, *space]`."""
    measured = observations.mask if observations.heldout is None else observations.mask | observations.heldout
    values, mask = observations.values[simulations], measured[simulations]
    if observations.positions is None:
        return torch.where(mask, values, torch.nan)[:, 1:]
    whole_start = observations.initial_state == "full"
    cells = [
        in_cells(observations.layout, observations.positions[s], values[i], mask[i], whole_start=whole_start)
        for i, s in enumerate(simulations)
    ]
    return torch.stack(cells)[:, 1:]
