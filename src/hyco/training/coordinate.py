"""Training of a coordinate network: at the measured points, and at ghost points against the physical model."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from hyco.losses import mean_square, weighted_loss
from hyco.networks.coordinate_model import CoordinateModel, cell_centres
from hyco.observations import Observations
from hyco.runtime.random_streams import stream
from hyco.runtime.storage import Bundle
from hyco.training.synthetic import Samples, SyntheticTrainer
from hyco.training.windows import Windows, WindowStarts

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """What was measured of the training simulations, point by point.

    Attributes:
        inputs: of the network, `[N, d]`.
        values: normalised, `[N, C]` float32.
        mask: which of them were measured, `[N, C]`.
    """

    inputs: Tensor
    values: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def of(cls, observations: Observations, model: CoordinateModel) -> Measured:
        """All measured points, those at t = 0 among them.

        Measurements on the grid are at cell centres, others where the sensors were: nothing is interpolated. What is
        known of the initial state counts as measured at t = 0; a static problem has none.
        """
        columns = zip(*_parts(observations), strict=True)
        positions, steps, values, mask = (torch.cat(column) for column in columns)
        used = mask.any(dim=1) & ((steps > 0) | (not model.static))
        normalised = ((values[used] - model.mean.cpu()) / model.std.cpu()).float()
        inputs = model.with_time(model.space_inputs(positions[used]), steps[used])
        return cls(*(t.to(model.device) for t in (inputs, normalised, mask[used])))


def _parts(observations: Observations) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Places `[N, d]`, steps `[N]`, values and mask `[N, C]` of all entries of the training simulations."""
    train, layout = observations.train, observations.layout
    centres = cell_centres(layout)
    if observations.on_grid:
        yield _entries(*observations.training_states(), centres.expand(len(train), observations.steps + 1, -1, -1))
        return
    assert observations.positions is not None
    first = 0
    if observations.initial_state != "observed":
        # The whole state at t = 0 is known, exactly or with noise.
        known = observations.initial_states[train, None]
        everywhere = torch.ones_like(known, dtype=torch.bool)
        yield _entries(known, everywhere, centres.expand(len(train), 1, -1, -1))
        first = 1
    places = observations.positions[train, first:]
    points = places.shape[2]
    values, mask = (t[train, first:, :, :points] for t in (observations.values, observations.mask))
    positions, steps, values, mask = _entries(values, mask, places)
    yield positions, steps + first, values, mask


def _entries(values: Tensor, mask: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Entries `[S, T, C, K…]` and places `[S, T, K, d]` as lists."""
    values, mask = (t.flatten(3).transpose(2, 3).flatten(0, 2) for t in (values, mask))
    simulations, times, count = places.shape[:3]
    steps = torch.arange(times)[None, :, None].expand(simulations, times, count).flatten()
    return places.flatten(0, 2), steps, values, mask


class CoordinateTrainer(SyntheticTrainer):
    """A coordinate network, its optimiser and its data.

    Its one window per training simulation is the whole trajectory. An epoch is `updates_per_epoch` updates, each on
    `points_per_update` random measured points and, in a hybrid, on `ghost_points` random places and times where the
    physical model's prediction counts as data (arXiv 2509.14123 calls them ghost points). The physical model is held
    against the network at as many others.

    Args: see `SyntheticTrainer`; `num_predict_steps` must be the whole trajectory.

    Raises:
        ValueError: it is not, or the equation has staggered fields.
    """

    model: CoordinateModel  # type: ignore[assignment]
    stepping = False

    def _create(self, observations: Observations, seed: int) -> CoordinateModel:  # type: ignore[override]
        mean, std = observations.statistics()
        return CoordinateModel.create(
            self.config.network,
            observations.layout,
            dt=observations.dt,
            steps=observations.steps,
            mean=mean,
            std=std,
            seed=seed,
        )

    def _take(self, observations: Observations, num_predict_steps: int, seed: int) -> None:
        if num_predict_steps != observations.steps:
            raise ValueError(
                f"num_predict_steps is {num_predict_steps}; a coordinate network predicts whole trajectories: "
                f"{observations.steps}"
            )
        simulations = torch.arange(len(observations.train))
        self.windows = Windows(simulations, torch.zeros_like(simulations), num_predict_steps)
        self.starts = WindowStarts(observations, self.windows)
        self._observed = torch.ones(len(self.windows), dtype=torch.bool)  # trajectories, all from t = 0
        self.measured = Measured.of(observations, self.model)
        self._ghosts = stream(seed, "ghost points")
        log.info("%d measured points, %d of them in an update.", len(self.measured), self._batch_size)

    @property
    def _batch_size(self) -> int:
        return min(self.config.points_per_update, len(self.measured))

    def epoch(self, epoch: int, samples: Samples, alpha: float = 1.0) -> dict[str, float]:
        """The updates of one epoch; see `SyntheticTrainer.epoch`."""
        return self._optimise(
            epoch, (self._loss_at_points(samples, alpha) for _ in range(self.config.updates_per_epoch))
        )

    def _loss_at_points(self, samples: Samples, alpha: float) -> Tensor:
        """Weighted loss of one update, at random points."""
        real = other = None
        count = self._batch_size
        if alpha > 0 or samples.physical is None:
            which = torch.arange(count)
            if count < len(self.measured):
                which = torch.randperm(len(self.measured), generator=self._batches)[:count]
            prediction = self.model.at(self.measured.inputs[which])
            real = mean_square(prediction - self.measured.values[which], self.measured.mask[which])
        if samples.physical is not None:
            window, time, cell = self._draw_ghost_points()
            inputs = self.model.with_time(self.model.space[cell], time + 1)
            other = mean_square(self.model.at(inputs) - samples.physical.flatten(3)[window, time, :, cell])
        return real if other is None and real is not None else weighted_loss(alpha, real, other)

    def _draw_ghost_points(self) -> tuple[Tensor, Tensor, Tensor]:
        """Window, step before the state, and cell of random entries, `[n]` each."""
        sizes = (len(self.windows), self.windows.length, len(self.model.space))
        drawn = torch.randint(math.prod(sizes), (self.config.ghost_points,), generator=self._ghosts)
        window, time, cell = torch.unravel_index(drawn, sizes)
        return window, time, cell

    @torch.no_grad()
    def targets(self, samples: Samples) -> tuple[Tensor, Tensor | None]:
        """Predictions at ghost points, `[W, T, C, *space]` float64, zero elsewhere; and where these points are."""
        window, time, cell = self._draw_ghost_points()
        shape = (len(self.windows), self.windows.length, len(self.model.layout.channels), len(self.model.space))
        predicted = torch.zeros(shape, dtype=torch.float64, device=self.device)
        entries = torch.zeros(shape, dtype=torch.bool, device=self.device)
        model = cast("CoordinateModel", self.predictor).eval()
        values = model.at(model.with_time(model.space[cell], time + 1))
        predicted[window, time, :, cell] = model.mean + model.std * values
        entries[window, time, :, cell] = True
        whole = (*shape[:3], *self.model.layout.shape)
        return predicted.reshape(whole), entries.reshape(whole)

    def state(self) -> Bundle:
        """Everything that changes during training."""
        state = super().state()
        state.tensors["ghosts"] = self._ghosts.get_state()
        return state

    def load(self, state: Bundle) -> None:
        """Go on from a `state`."""
        super().load(state)
        self._ghosts.set_state(state.tensors["ghosts"])
