"""Measurements that are kept back from the training, to judge models by where there are no other trajectories."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import torch
from torch import Tensor

from hyco.observations.checks import MeasurementError
from hyco.observations.config import HoldoutConfig
from hyco.observations.observations import Observations
from hyco.runtime.random_streams import stream

# Positions that differ by less than this part of a cell are equal.
_ROUNDING = 1e-6


def hold_out(observations: Observations, config: HoldoutConfig, seed: int) -> Observations:
    """The same observations with a part of the training simulations' kept back: in `heldout` instead of `mask`.

    States at t = 0 are not kept back: rollouts begin with them.

    Args:
        observations: of which nothing is kept back yet.
        config: how much, of what.
        seed: of the run; the draw has a stream of its own.

    Raises:
        MeasurementError: nothing would be left to train on.
    """
    train = observations.train
    mask = observations.mask[train]
    measured = mask.transpose(0, 2).flatten(3).any(dim=0).transpose(0, 1)  # [S, T+1, K]
    measured[:, 0] = False
    where = measured.nonzero()
    groups = _groups(observations, where, config.by)
    count = int(groups.max()) + 1 if len(groups) else 0
    kept_back = ceil(config.fraction * count - 1e-9)
    if kept_back >= count:
        what = {"points": "measurements", "sensors": "places"}.get(config.by, "times")
        raise MeasurementError(
            f"observation.holdout keeps back {kept_back} of {count} {what} after t = 0: nothing would be left to train "
            "on; take a smaller fraction, or by: points"
        )
    chosen = torch.zeros(count, dtype=torch.bool)
    if config.by == "end":
        chosen[count - kept_back :] = True
    else:
        chosen[torch.randperm(count, generator=stream(seed, "holdout"))[:kept_back]] = True
    away = torch.zeros_like(measured)
    away[tuple(where[chosen[groups]].T)] = True
    heldout = torch.zeros_like(observations.mask)
    heldout[train] = mask & away.reshape(*away.shape[:2], 1, *observations.mask.shape[3:])
    return replace(observations, mask=observations.mask & ~heldout, heldout=heldout)


def _groups(observations: Observations, where: Tensor, by: str) -> Tensor:
    """Which group each measurement is kept back with, `[n]` from 0; those of times in their order.

    Args:
        where: simulation, state and entry of each, `[n, 3]`.
    """
    if by == "points":
        return torch.arange(len(where))
    _, state, entry = where.T
    if by in ("times", "end"):
        return _numbered(state[:, None])
    if observations.positions is None:
        return _numbered(entry[:, None])
    cells = torch.tensor(observations.layout.grid.spacing, dtype=torch.float64) * _ROUNDING
    places = observations.positions[observations.train][tuple(where.T)]
    return _numbered((places / cells).round().long())


def _numbered(keys: Tensor) -> Tensor:
    """Rows `[n, d]` that are equal have one number; numbers grow with the rows."""
    if not len(keys):
        return torch.zeros(0, dtype=torch.long)
    numbers: Tensor = torch.unique(keys, dim=0, return_inverse=True)[1]
    return numbers
