"""The measurement: from simulations to what is observed of them, with noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from hyco.fields import Layout
from hyco.grid import Grid
from hyco.observations.cells import CellsMode
from hyco.observations.config import ObservationConfig
from hyco.observations.filling import fill, positions_of_entries
from hyco.observations.interpolation import stencil
from hyco.observations.observations import Observations
from hyco.observations.operators import PointOperator
from hyco.observations.points import SamplesSpace
from hyco.observations.statistics import ROUNDING
from hyco.runtime.mapped import release, rows_of, slices
from hyco.runtime.random_streams import NormalDraws, stream
from hyco.runtime.storage import Bundle


def observe(
    trajectories: Bundle,
    config: ObservationConfig,
    seed: int,
    *,
    tests: Callable[[Observations, Measured, Tensor], Tensor] | None = None,
) -> Observations:
    """Measure the training and validation simulations; of the test simulations at most the initial state is seen.

    Args:
        trajectories: tensor `trajectories` `[S, T+1, C, *space]` with its layout.
        seed: of the run; the noise and the sensors have streams of their own.
        tests: what test simulations begin with, of the observations, of what was measured of their first states, and of
            these states `[S, C, *space]`, filled where they were not measured; None: that.

    Raises:
        ValueError: a simulation, a state or a sensor that does not exist is asked for, or nothing is observed.
    """
    instrument = Instrument.of(trajectories, config, seed)
    layout, noise_std = instrument.layout, instrument.noise_std
    truth, simulations = trajectories.tensors["trajectories"], [*config.train_sim, *config.val_sim]
    states = truth[simulations]
    measured = instrument.measure(states, simulations, "noise")
    if not measured.mask[:, 1:].any():
        raise ValueError("observation.space and observation.time leave nothing observed after t = 0")
    observations = Observations(
        values=measured.values,
        mask=measured.mask,
        initial_states=states[:, 0].clone() if measured.whole is None else measured.whole,
        noise_std=noise_std,
        train=list(range(len(config.train_sim))),
        val=list(range(len(config.train_sim), len(simulations))),
        layout=layout,
        dt=instrument.dt,
        window_states=states.clone() if config.window_start == "truth" else None,
        initial_state=config.initial_state,
        positions=measured.positions,
        interpolation=config.interpolation,
    )
    if config.initial_state == "exact":
        return observations
    mean, _ = observations.statistics()
    initial_states = measured.initial_states(layout, mean)
    window_states, test_initial_states = observations.window_states, None
    if window_states is not None:
        window_states = torch.cat([initial_states[:, None], window_states[:, 1:]], dim=1)
    if config.test_sim:
        test = instrument.measure(truth[config.test_sim, :1], config.test_sim, "test noise")
        test_initial_states = test.initial_states(layout, mean)
    observations = replace(
        observations,
        initial_states=initial_states,
        window_states=window_states,
        test_initial_states=test_initial_states,
    )
    if tests is None or test_initial_states is None:
        return observations
    return replace(observations, test_initial_states=tests(observations, test, test_initial_states))


@dataclass
class Measured:
    """Measurements of some simulations.

    Attributes:
        values, mask: `[S, T, C, K…]`.
        positions: of points, `[S, T, P, d]`, or None.
        whole: the states at t = 0 measured in every entry, `[S, C, *space]`, or None.
    """

    values: Tensor
    mask: Tensor
    positions: Tensor | None
    whole: Tensor | None

    def initial_states(self, layout: Layout, mean: Tensor) -> Tensor:
        """The states at t = 0 `[S, C, *space]`, filled where they were not measured; `mean` where nothing is near."""
        if self.whole is not None:
            return self.whole
        states = self.values.new_zeros((len(self.values), len(layout.channels), *layout.shape))
        for s, values, mask in zip(range(len(states)), self.values[:, 0], self.mask[:, 0], strict=True):
            for c, channel in enumerate(states[s]):
                places = positions_of_entries(layout, c) if self.positions is None else self.positions[s, 0]
                channel.copy_(fill(layout, c, places[mask[c]], values[c][mask[c]], float(mean[c])))
        return states


@dataclass(frozen=True)
class Instrument:
    """What measures: places, times and noise."""

    config: ObservationConfig
    layout: Layout
    dt: float
    steps: int
    seed: int
    noise_std: Tensor

    @classmethod
    def of(cls, trajectories: Bundle, config: ObservationConfig, seed: int) -> Instrument:
        """What measures these simulations.

        Raises:
            ValueError: a simulation that does not exist is asked for.
        """
        truth = trajectories.tensors["trajectories"]
        layout, dt = Layout.from_dict(trajectories.metadata["layout"]), float(trajectories.metadata["dt"])
        if (last := max([*config.train_sim, *config.val_sim, *config.test_sim])) >= truth.shape[0]:
            raise ValueError(
                f"observation asks for simulation {last}, "
                f"but generation.simulations is {truth.shape[0]} (indices 0 to {truth.shape[0] - 1})"
            )
        noise_std = config.noise * _reference(truth, config.train_sim, layout, config.noise_reference)
        return cls(config, layout, dt, truth.shape[1] - 1, seed, noise_std)

    def measure(self, states: Tensor, simulations: list[int], noise: str | NormalDraws) -> Measured:
        """Measure the first states of some simulations.

        Args:
            states: `[S, T, C, *space]`.
            simulations: their indices.
            noise: name of the noise's stream; or the next numbers of it, of data that are measured in parts, in cells.
        """
        space, full = self.config.space, self.config.initial_state == "full"
        times = torch.zeros(self.steps + 1, dtype=torch.bool)
        times[self.config.time.indices(self.steps)] = True
        if isinstance(space, CellsMode) or (isinstance(space, SamplesSpace) and space.at == "cells"):
            masks = [space.mask(self.layout, times, self.seed, s)[: states.shape[1]] for s in simulations]
            mask = torch.stack(masks).contiguous()
            if full:
                mask[:, 0] = self.layout.valid
            noisy = self._noisy(states, noise)
            values = torch.where(mask, noisy, torch.zeros_like(noisy))
            return Measured(values, mask, None, values[:, 0].clone() if full else None)
        placed = [space.places(self.layout.grid, times, self.dt, self.seed, s) for s in simulations]
        positions, present = _together(placed, self.layout.grid, states.shape[1])
        operator = PointOperator.of(stencil(self.layout, positions, self.config.interpolation))
        entries = self._noisy(operator(states), noise)
        mask = present[:, :, None].expand(entries.shape)
        values = torch.where(mask, entries, torch.zeros_like(entries))
        if not full:
            return Measured(values, mask.contiguous(), positions, None)
        valid, noisy = self.layout.valid, self._noisy(states[:, :1], f"{noise} at t = 0")
        whole = torch.where(valid, noisy, torch.zeros_like(noisy)).flatten(3)
        values, mask = _with_whole_start(values, whole), _with_whole_start(mask, valid.flatten(1).expand(whole.shape))
        return Measured(values, mask, positions, whole.reshape(states[:, 0].shape))

    def test_starts(self, truth: Tensor) -> Tensor | None:
        """The states at t = 0 of the test simulations, measured in full, `[S, C, *space]`; None: there are none."""
        tests = self.config.test_sim
        return self.measure(truth[tests, :1], tests, "test noise").whole if tests else None

    def _noisy(self, values: Tensor, source: str | NormalDraws) -> Tensor:
        """Values `[S, T, C, K…]` with noise."""
        if isinstance(source, NormalDraws):
            noise = source.take(values.numel()).reshape(values.shape)
        else:
            noise = torch.randn(values.shape, generator=stream(self.seed, source), dtype=values.dtype)
        return values + noise * self.noise_std.reshape(-1, *[1] * (values.ndim - 3))


def _with_whole_start(points: Tensor, whole: Tensor) -> Tensor:
    """Entries `[S, T, C, K]` with those of whole states `[S, 1, C, cells]` at t = 0, padded to the larger number."""
    entries = max(points.shape[-1], whole.shape[-1])
    parts = [functional.pad(part, (0, entries - part.shape[-1])) for part in (whole, points[:, 1:])]
    return torch.cat(parts, dim=1)


def _together(placed: list[tuple[Tensor, Tensor]], grid: Grid, states: int) -> tuple[Tensor, Tensor]:
    """Positions `[S, T, P, d]` and which are measured `[S, T, P]`; the others are the middle of the domain."""
    largest = max(present.shape[1] for _, present in placed)
    middle = torch.tensor([low + size / 2 for low, size in zip(grid.lower, grid.size, strict=True)])
    positions = middle.double().expand(len(placed), states, largest, -1).clone()
    mask = torch.zeros(positions.shape[:-1], dtype=torch.bool)
    for s, (places, present) in enumerate(placed):
        mask[s, :, : present.shape[1]] = present[:states]
        chosen = mask[s, :, : present.shape[1], None]
        part = positions[s, :, : present.shape[1]]
        positions[s, :, : present.shape[1]] = torch.where(chosen, places[:states], part)
    return positions, mask


def _reference(truth: Tensor, simulations: list[int], layout: Layout, kind: str) -> Tensor:
    """The scale `[C]` that `observation.noise` is a fraction of; a constant channel has the standard deviation 0."""
    channels = len(layout.channels)
    if kind == "absolute":
        return torch.ones(channels, dtype=truth.dtype)
    found = None
    for part in slices(len(simulations), truth[0].numel()):
        states = rows_of(truth, simulations[part])
        if bool(layout.valid.all()):
            values = states.transpose(0, 2).flatten(1)
            own = values.abs().amax(dim=1), values.mean(dim=1), values.std(dim=1, correction=0)
        else:
            each = [states[layout.index(c, 2)].flatten() for c in range(channels)]
            rows = [(v.abs().amax(), v.mean(), v.std(correction=0)) for v in each]
            own = (
                torch.stack([v[0] for v in rows]),
                torch.stack([v[1] for v in rows]),
                torch.stack([v[2] for v in rows]),
            )
        found = _together_with(found, (len(states), *own))
        release(truth)
    assert found is not None  # there is a training simulation at least
    _, largest, _, std = found
    if kind == "max":
        return largest
    return torch.where(std > ROUNDING * largest, std, torch.zeros_like(std))


_Moments = tuple[int, Tensor, Tensor, Tensor]


def _together_with(one: _Moments | None, other: _Moments) -> _Moments:
    """Weight, largest |value|, mean and std of two groups of values together (Chan, Golub and LeVeque 1983)."""
    if one is None:
        return other
    (n, largest, mean, std), (m, their_largest, their_mean, their_std) = one, other
    part, apart = m / (n + m), their_mean - mean
    var = (1 - part) * std.square() + part * their_std.square() + part * (1 - part) * apart.square()
    return n + m, torch.maximum(largest, their_largest), mean + part * apart, var.sqrt()
