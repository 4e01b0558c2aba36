"""Training of a coordinate network: at the measured points, and at ghost points against the physical model."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hyco.losses import mean_square, weighted_loss
from hyco.networks.coordinate_model import CoordinateModel, cell_centres
from hyco.observations import Observations, in_memory
from hyco.observations.weights import root_weights
from hyco.training.batches import PointBatches
from hyco.training.config import SyntheticConfig
from hyco.training.data import Samples
from hyco.training.network_trainer import NetworkTrainer
from hyco.training.windows import Windows, WindowStarts

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """What was measured of the training simulations, point by point.

    Attributes:
        inputs: of the network, `[N, d]`.
        values: normalised, `[N, C]` float32.
        mask: which of them were measured, `[N, C]`.
        root_weights: what errors are multiplied with, `[N, C]`, see `hyco.observations.weights`; None: all weigh alike.
            A start that is known exactly weighs as much as a measurement does in the mean.
    """

    inputs: Tensor
    values: Tensor
    mask: Tensor
    root_weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def of(cls, observations: Observations, model: CoordinateModel) -> Measured:
        """All measured points, those at t = 0 among them.

        Measurements on the grid are at cell centres, others where the sensors were, all of them when they were, between
        states too: nothing is interpolated. The initial state, as far as it was measured, counts as measured at t = 0;
        a static problem has none.
        """
        columns = zip(*_parts(observations), strict=True)
        positions, steps, values, mask, weights = (torch.cat(column) for column in columns)
        used = mask.any(dim=1) & ((steps > 0) | (not model.static))
        normalised = ((values[used] - model.mean.cpu()) / model.std.cpu()).float()
        inputs = model.with_time(model.space_inputs(positions[used]), steps[used])
        inputs, normalised, mask, weights = (
            t.to(model.device) for t in (inputs, normalised, mask[used], weights[used])
        )
        known = observations.sigma_of_values is not None
        return cls(inputs, normalised, mask, weights.float() if known else None)

    def mean_square(self, prediction: Tensor, which: Tensor) -> Tensor:
        """Mean of the squared errors of normalised predictions `[n, C]` at some points, by number `[n]`."""
        error = prediction - self.values[which]
        return mean_square(error if self.root_weights is None else error * self.root_weights[which], self.mask[which])


def _parts(observations: Observations) -> Iterator[tuple[Tensor, ...]]:
    """Places `[N, d]`, steps since t = 0 `[N]`, values, mask and weights `[N, C]` of what was measured."""
    weights = root_weights(observations)
    weights = torch.ones_like(observations.values) if weights is None else weights
    train, layout = observations.train, observations.layout
    centres = cell_centres(layout)
    if observations.on_grid:
        values, mask = observations.training_states()
        own = weights[train].clone()
        if observations.initial_known:
            own[:, 0] = 1.0
        yield _entries(values, mask, own, centres.expand(len(train), observations.steps + 1, -1, -1))
        return
    assert observations.positions is not None
    first = 0
    if observations.initial_state != "observed":
        # The whole state at t = 0 is known, exactly or with noise.
        initial = observations.initial_states[train, None]
        everywhere = torch.ones_like(initial, dtype=torch.bool)
        own = torch.ones_like(initial)
        if not observations.initial_known:
            own = weights[train, :1, :, : layout.grid.cells].reshape(initial.shape)
        yield _entries(initial, everywhere, own, centres.expand(len(train), 1, -1, -1))
        first = 1
    places = observations.positions[train, first:]
    points = places.shape[2]
    values, mask, own = (t[train, first:, :, :points] for t in (observations.values, observations.mask, weights))
    positions, steps, values, mask, own = _entries(values, mask, own, places)
    if observations.offsets is not None:
        steps = steps + observations.offsets[train, first:].flatten()
    yield positions, steps + first, values, mask, own


def _entries(values: Tensor, mask: Tensor, weights: Tensor, places: Tensor) -> tuple[Tensor, ...]:
    """Entries `[S, T, C, K…]` and places `[S, T, K, d]` as lists."""
    values, mask, weights = (t.flatten(3).transpose(2, 3).flatten(0, 2) for t in (values, mask, weights))
    simulations, times, count = places.shape[:3]
    steps = torch.arange(times)[None, :, None].expand(simulations, times, count).flatten()
    return places.flatten(0, 2), steps, values, mask, weights


class CoordinateTrainer(NetworkTrainer):
    """A coordinate network, its optimiser and its data.

    Its one window per training simulation is the whole trajectory. An epoch is `updates_per_epoch` updates, each on
    `points_per_update` random measured points and, in a hybrid, on `ghost_points` random places and times where the
    physical model's prediction counts as data (arXiv 2509.14123 calls them ghost points). The physical model is
    fitted to the network at as many others.

    Args: see `SyntheticTrainer`; `num_predict_steps` must be the whole trajectory, and there are no fresh trajectories,
        so that the last three have no effect.

    Attributes:
        measured: what was measured, point by point.

    Raises:
        ValueError: `num_predict_steps` is another number, or the equation has staggered fields.
    """

    model: CoordinateModel
    predictor: CoordinateModel
    batches: PointBatches

    def __init__(
        self,
        observations: Observations,
        config: SyntheticConfig,
        seed: int,
        *,
        num_predict_steps: int,
        epochs: int,
        device: torch.device,
        fresh_batch: int | None = None,
        fresh_length: int | None = None,
        fresh_updates: int | None = None,
    ) -> None:
        observations = in_memory(observations)
        mean, std = observations.statistics()
        layout, dt, steps = observations.layout, observations.dt, observations.steps
        model = CoordinateModel.create(config.network, layout, dt=dt, steps=steps, mean=mean, std=std, seed=seed)
        if num_predict_steps != steps:
            raise ValueError(
                f"num_predict_steps is {num_predict_steps}; a coordinate network predicts whole trajectories: {steps}"
            )
        simulations = torch.arange(len(observations.train))
        windows = Windows(simulations, torch.zeros_like(simulations), steps)
        starts = WindowStarts(observations, windows)
        super().__init__(
            model, config, epochs=epochs, windows=windows, starts=starts, dt=observations.dt, device=device
        )
        self.measured = Measured.of(observations, self.model)
        entries = (len(windows), steps, len(self.model.space))
        self.batches = PointBatches(len(self.measured), config.points_per_update, entries, config.ghost_points, seed)
        log.info("%d measured points, %d of them in an update.", len(self.measured), self.batches.batch_size)

    def epoch(self, epoch: int, samples: Samples, alpha: float = 1.0) -> dict[str, float]:
        """`updates_per_epoch` updates; see `NetworkTrainer.epoch`."""
        losses = (self.loss(samples, alpha) for _ in range(self.config.updates_per_epoch))
        return self.optimisation.epoch(epoch, losses)

    def loss(self, samples: Samples, alpha: float) -> Tensor:
        """Weighted loss of one update, at random points, with gradient."""
        real = other = None
        if alpha > 0 or samples.physical is None:
            which = self.batches.measured()
            prediction = self.model.at(self.measured.inputs[which])
            real = self.measured.mean_square(prediction, which)
        if samples.physical is not None:
            window, time, cell = self.batches.ghosts()
            inputs = self.model.with_time(self.model.space[cell], time + 1)
            other = mean_square(self.model.at(inputs) - samples.physical.flatten(3)[window, time, :, cell])
        return real if other is None and real is not None else weighted_loss(alpha, real, other)

    @torch.no_grad()
    def targets(self, samples: Samples) -> tuple[Tensor, Tensor | None]:
        """Predictions at ghost points, `[W, T, C, *space]` float64, zero elsewhere; and where these points are."""
        window, time, cell = self.batches.ghosts()
        model = self.predictor.eval()
        shape = (len(self.windows), self.windows.length, len(model.layout.channels), len(model.space))
        predicted = torch.zeros(shape, dtype=torch.float64, device=self.device)
        entries = torch.zeros(shape, dtype=torch.bool, device=self.device)
        values = model.at(model.with_time(model.space[cell], time + 1))
        predicted[window, time, :, cell] = model.mean + model.std * values
        entries[window, time, :, cell] = True
        whole = (*shape[:3], *model.layout.shape)
        return predicted.reshape(whole), entries.reshape(whole)
