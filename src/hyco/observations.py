"""Observations y = H(trajectory) + noise: what was measured, and nothing else, reaches the training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor

from hyco.fields import Layout
from hyco.grid import Grid
from hyco.randomness import stream
from hyco.storage import Bundle

# Where the data are free of noise, residuals are measured in this fraction of a channel's standard deviation.
NOISE_FREE_UNIT = 1e-3


class _Mode(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FullSpace(_Mode):
    """Every cell."""

    mode: Literal["full"] = "full"

    def mask(self, grid: Grid, generator: torch.Generator) -> Tensor:
        """Observed cells, `[*space]`."""
        return torch.ones(grid.resolution, dtype=torch.bool)


class RangeSpace(_Mode):
    """The cells whose centres lie in an interval along each axis; an axis left out is observed in full."""

    mode: Literal["range"]
    x: tuple[float, float] | None = Field(default=None, description="first and last coordinate observed [length]")
    y: tuple[float, float] | None = Field(default=None, description="first and last coordinate observed [length]")
    z: tuple[float, float] | None = Field(default=None, description="first and last coordinate observed [length]")

    def mask(self, grid: Grid, generator: torch.Generator) -> Tensor:
        """Observed cells, `[*space]`."""
        intervals = {"x": self.x, "y": self.y, "z": self.z}
        return _box(grid, {axis: interval for axis, interval in intervals.items() if interval is not None})


class CenterSpace(_Mode):
    """A box about the centre of the domain."""

    mode: Literal["center"]
    fraction: Annotated[float, Field(gt=0, le=1, description="observed part of the extent along each axis")]

    def mask(self, grid: Grid, generator: torch.Generator) -> Tensor:
        """Observed cells, `[*space]`."""
        intervals = {}
        for axis, lower, size in zip(grid.axes, grid.lower, grid.size, strict=True):
            middle, half = lower + size / 2, self.fraction * size / 2
            intervals[axis] = (middle - half, middle + half)
        return _box(grid, intervals)


class PointsSpace(_Mode):
    """Sensors at cells drawn at random without replacement, the same for all simulations and times."""

    mode: Literal["points"]
    count: PositiveInt = Field(description="number of sensors")

    def mask(self, grid: Grid, generator: torch.Generator) -> Tensor:
        """Observed cells, `[*space]`.

        Raises:
            ValueError: there are more sensors than cells.
        """
        if self.count > grid.cells:
            raise ValueError(f"observation.space.count is {self.count}, but the grid has {grid.cells} cells")
        mask = torch.zeros(grid.cells, dtype=torch.bool)
        mask[torch.randperm(grid.cells, generator=generator)[: self.count]] = True
        return mask.reshape(grid.resolution)


def _box(grid: Grid, intervals: dict[str, tuple[float, float]]) -> Tensor:
    mask = torch.ones(grid.resolution, dtype=torch.bool)
    for axis, (first, last) in intervals.items():
        if axis not in grid.axes:
            raise ValueError(f"observation.space names the axis {axis!r}; the domain has {', '.join(grid.axes)}")
        centers = grid.centers(axis)
        inside = torch.from_numpy(np.asarray((centers >= first) & (centers <= last)))
        shape = [1] * grid.dimensions
        shape[grid.axes.index(axis)] = -1
        mask = mask & inside.reshape(shape)
    return mask


class FullTime(_Mode):
    """Every state."""

    mode: Literal["full"] = "full"

    def indices(self, steps: int) -> list[int]:
        """Observed states, 0 to `steps`."""
        return list(range(steps + 1))


class EndpointsTime(_Mode):
    """The first and the last state."""

    mode: Literal["endpoints"]

    def indices(self, steps: int) -> list[int]:
        """Observed states, 0 to `steps`."""
        return [0, steps]


class UniformTime(_Mode):
    """Every n-th state, from the first."""

    mode: Literal["uniform"]
    every: PositiveInt = Field(description="steps between two observed states")

    def indices(self, steps: int) -> list[int]:
        """Observed states, 0 to `steps`."""
        return list(range(0, steps + 1, self.every))


class CustomTime(_Mode):
    """States given by index."""

    mode: Literal["custom"]
    indices_: list[NonNegativeInt] = Field(alias="indices", min_length=1, description="observed states, 0 the initial")

    def indices(self, steps: int) -> list[int]:
        """Observed states, 0 to `steps`.

        Raises:
            ValueError: an index lies beyond the trajectory.
        """
        if max(self.indices_) > steps:
            raise ValueError(f"observation.time.indices holds {max(self.indices_)}, the last state is {steps}")
        return sorted(set(self.indices_))


Space = Annotated[FullSpace | RangeSpace | CenterSpace | PointsSpace, Field(discriminator="mode")]
Time = Annotated[FullTime | EndpointsTime | UniformTime | CustomTime, Field(discriminator="mode")]


class ObservationConfig(BaseModel):
    """Keys of the `observation` section."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train_sim: list[NonNegativeInt] = Field(min_length=1, description="simulations to train on, by index")
    val_sim: list[NonNegativeInt] = Field(default=[], description="simulations to validate on")
    test_sim: list[NonNegativeInt] = Field(default=[], description="simulations to test on")
    noise: NonNegativeFloat = Field(default=0.0, description="standard deviation of the noise over noise_reference")
    noise_reference: Literal["std", "max", "absolute"] = Field(
        default="std", description="std or max |value| of each channel over the training simulations, or 1"
    )
    initial_state: Literal["exact"] = Field(default="exact", description="how the state at t = 0 is known: exactly")
    window_start: Literal["observed", "truth"] = Field(
        default="observed", description="where a later training window starts: from observations, or the hidden truth"
    )
    space: Space = Field(default=FullSpace(), description="observed cells")
    time: Time = Field(default=FullTime(), description="observed times")

    @model_validator(mode="after")
    def _disjoint(self) -> ObservationConfig:
        groups = {"train_sim": self.train_sim, "val_sim": self.val_sim, "test_sim": self.test_sim}
        seen: dict[int, str] = {}
        for name, simulations in groups.items():
            for simulation in simulations:
                if simulation in seen:
                    raise ValueError(f"simulation {simulation} is in {seen[simulation]} and again in {name}")
                seen[simulation] = name
        return self


@dataclass
class Observations:
    """Measured values of the training and validation simulations, `S` of them in all.

    Attributes:
        values: `[S, T+1, C, *space]` float64, 0 where nothing was measured.
        mask: the same shape, True where measured.
        initial_states: `[S, C, *space]`, the states at t = 0, known exactly.
        noise_std: standard deviation of the noise per channel, `[C]`; 0 for noise-free data.
        train, val: positions of the training and validation simulations in the first axis.
        window_states: true states for `window_start: truth`, else None.
    """

    values: Tensor
    mask: Tensor
    initial_states: Tensor
    noise_std: Tensor
    train: list[int]
    val: list[int]
    layout: Layout
    dt: float
    window_states: Tensor | None = None

    @property
    def steps(self) -> int:
        """Steps of each trajectory."""
        return self.values.shape[1] - 1

    @property
    def unit(self) -> Tensor:
        """Unit of the physical residuals per channel, `[C, 1, …]`: σ, or a thousandth of the std if noise-free."""
        _mean, std = self.statistics()
        unit = torch.where(self.noise_std > 0, self.noise_std, NOISE_FREE_UNIT * std)
        return unit.reshape(-1, *[1] * self.layout.grid.dimensions)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation `[C]` of what was observed of the training simulations.

        Raises:
            ValueError: nothing was observed.
        """
        values, mask = self.training_states()
        axes = (0, 1, *range(3, values.ndim))
        count = mask.sum(axes)
        if not bool((count > 1).all()):
            raise ValueError(
                "observation.space and observation.time leave nothing observed in the training simulations"
            )
        mean = (values * mask).sum(axes) / count
        shape = (1, 1, -1, *[1] * self.layout.grid.dimensions)
        deviation = (values - mean.reshape(shape)) * mask
        std = (deviation.square().sum(axes) / count).sqrt()
        return mean, torch.where(std > 0, std, torch.ones_like(std))

    def training_states(self) -> tuple[Tensor, Tensor]:
        """Values and mask of the training simulations, the initial states among them."""
        values, mask = self.values[self.train].clone(), self.mask[self.train].clone()
        values[:, 0], mask[:, 0] = self.initial_states[self.train], True
        return values, mask

    def change_std(self) -> Tensor:
        """Standard deviation `[C]` of the change per step, noise taken off.

        From pairs of observed states k steps apart, for the smallest k that there is, divided by k; the standard
        deviation of the states where there is no pair at all. At least a hundredth of that standard deviation.
        """
        values, mask = self.training_states()
        axes = (0, 1, *range(3, values.ndim))
        _, std = self.statistics()
        for k in range(1, self.steps + 1):
            pairs = mask[:, k:] & mask[:, :-k]
            count = pairs.sum(axes)
            if bool((count > 0).all()):
                change = (values[:, k:] - values[:, :-k]) * pairs
                variance = change.square().sum(axes) / count - 2 * self.noise_std**2
                return variance.clamp_min(0).sqrt().div(k).maximum(1e-2 * std)
        return std

    def to_bundle(self) -> Bundle:
        """The observations as tensors and metadata, for the catalog."""
        tensors = {
            "values": self.values,
            "mask": self.mask,
            "initial_states": self.initial_states,
            "noise_std": self.noise_std,
        }
        if self.window_states is not None:
            tensors["window_states"] = self.window_states
        metadata: dict[str, Any] = {
            "kind": "observations",
            "layout": self.layout.to_dict(),
            "dt": self.dt,
            "train": self.train,
            "val": self.val,
        }
        return Bundle(tensors, metadata)

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Observations:
        """The inverse of `to_bundle`."""
        t, m = bundle.tensors, bundle.metadata
        return cls(
            values=t["values"],
            mask=t["mask"],
            initial_states=t["initial_states"],
            noise_std=t["noise_std"],
            train=m["train"],
            val=m["val"],
            layout=Layout.from_dict(m["layout"]),
            dt=m["dt"],
            window_states=t.get("window_states"),
        )


def observe(trajectories: Bundle, config: ObservationConfig, seed: int) -> Observations:
    """Measure the training and validation simulations; the test simulations stay unseen.

    Args:
        trajectories: tensor `trajectories` `[S, T+1, C, *space]` with its layout.
        seed: of the run; the noise and the sensors have streams of their own.

    Raises:
        ValueError: a simulation, a state or a sensor that does not exist is asked for, or nothing is observed.
    """
    truth = trajectories.tensors["trajectories"]
    layout = Layout.from_dict(trajectories.metadata["layout"])
    simulations = [*config.train_sim, *config.val_sim]
    if max([*simulations, *config.test_sim]) >= truth.shape[0]:
        raise ValueError(
            f"observation asks for simulation {max([*simulations, *config.test_sim])}, "
            f"but generation.simulations is {truth.shape[0]} (indices 0 to {truth.shape[0] - 1})"
        )
    reference = _reference(truth[config.train_sim], config.noise_reference)
    noise_std = config.noise * reference
    states = truth[simulations]
    noise = torch.randn(states.shape, generator=stream(seed, "noise"), dtype=states.dtype)
    noisy = states + noise * noise_std.reshape(1, 1, -1, *[1] * layout.grid.dimensions)

    cells = config.space.mask(layout.grid, stream(seed, "sensors"))
    times = torch.zeros(states.shape[1], dtype=torch.bool)
    times[config.time.indices(states.shape[1] - 1)] = True
    if not cells.any() or not times[1:].any():
        raise ValueError("observation.space and observation.time leave nothing observed after t = 0")
    mask = times.reshape(1, -1, 1, *[1] * layout.grid.dimensions) & cells
    mask = mask.expand(states.shape).contiguous()

    return Observations(
        values=torch.where(mask, noisy, torch.zeros_like(noisy)),
        mask=mask,
        initial_states=states[:, 0].clone(),
        noise_std=noise_std,
        train=list(range(len(config.train_sim))),
        val=list(range(len(config.train_sim), len(simulations))),
        layout=layout,
        dt=float(trajectories.metadata["dt"]),
        window_states=states.clone() if config.window_start == "truth" else None,
    )


def _reference(states: Tensor, kind: str) -> Tensor:
    """The scale `[C]` that `observation.noise` is a fraction of."""
    channels = states.transpose(0, 2).flatten(1)
    if kind == "std":
        return channels.std(dim=1, correction=0)
    if kind == "max":
        return channels.abs().amax(dim=1)
    return torch.ones(channels.shape[0], dtype=states.dtype)
