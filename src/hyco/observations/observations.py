"""What was measured of the training and validation simulations, and the statistics of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hyco.fields import Layout
from hyco.observations.checks import (
    as_heldout,
    as_mask,
    as_numbers,
    as_offsets,
    as_positions,
    as_simulations,
    as_states,
    check_entries,
    check_finite,
    check_full_start,
    check_layout,
    check_like,
    check_noise,
    check_words,
)
from hyco.observations.config import InitialState
from hyco.observations.interpolation import Method, stencil
from hyco.observations.noise import as_sigma, channel_sigma, root_mean_square
from hyco.observations.operators import GridOperator, Operator, PointOperator
from hyco.observations.parts import Parts
from hyco.observations.statistics import mean_and_std, nothing_known
from hyco.observations.time_interpolation import BetweenOperator
from hyco.runtime.mapped import cleared, rows_of
from hyco.runtime.storage import Bundle

# σ of data free of noise: this fraction of a channel's standard deviation.
NOISE_FREE_SIGMA = 1e-3


@dataclass
class Observations:
    """Measured values of the training and validation simulations, `S` of them in all.

    A state has the entries `[C, K…]`: where measurements are on the grid, K… is `*space`; where they are at points, it
    is the largest number of measurements in any state. `operator` maps states to entries.

    Attributes:
        values: `[S, T+1, C, K…]` float64, 0 where nothing was measured.
        mask: the same shape, True where measured.
        initial_states: `[S, C, *space]`, the best estimate of the states at t = 0: the truth if `initial_state`
            is "exact"; measured in every entry, with noise, if it is "full"; if it is "observed", what was measured
            and a simple interpolation of it elsewhere (see `initial_mask`). Of validation and test simulations less
            noisy estimates stand there if `starts_estimated`; with states given by hand nothing is estimated. What was
            measured at t = 0 is `values[:, 0]`, unless exact.
        noise_std: standard deviation of the noise per channel, `[C]`; 0 for noise-free data. Where each measurement has
            its own (`sigma_of_values`) it is their root mean square in the training simulations, whatever was given.
        train, val, test: positions of the training, validation and test simulations in the first axis. Of simulations
            that were made, tests are not among them: of measurements they are, to judge models by.
        window_states: true states for `window_start: truth`, else None.
        positions: of the points, `[S, T+1, P, d]`; None where measurements are on the grid. At t = 0 they are of no
            use if `initial_state` is "full": the entries then are the state, flattened.
        test_initial_states: `[S_test, C, *space]`, `initial_states` of test simulations; None if they are exact.
        interpolation: how a state is read at points: `cubic`, or `linear` where it is not smooth on the grid.
        heldout: measurements of training simulations that no model trains on, a mask in the shape of `values`; None:
            there are none. `mask` does not have them.
        offsets: when the points were measured, in steps after the time of their state, `[S, T+1, P]`: entries of state
            n are of times in ((n-1)·dt, n·dt], offsets in (-1, 0], those at t = 0 are 0. None: all are 0.
        sigma_of_values: standard deviation of the noise of each measured value, in the shape of `values`; None: that of
            its channel.
        from_file: whether they were read from a file of measurements, not made by a simulation.
        starts_estimated: whether validation and test simulations begin with estimates, as `hyco.observe` makes them.

    Numbers of another type are converted to float64, masks of 1 and 0 to true and false, arrays to tensors; positions
    beyond the end of a periodic axis are wrapped.

    Raises:
        MeasurementError: a shape, a value or a word that cannot be meant; see `hyco.observations.checks`.
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
    initial_state: InitialState = "exact"
    positions: Tensor | None = None
    test_initial_states: Tensor | None = None
    interpolation: Method = "cubic"
    test: list[int] = field(default_factory=list)
    heldout: Tensor | None = None
    offsets: Tensor | None = None
    sigma_of_values: Tensor | None = None
    from_file: bool = False
    starts_estimated: bool = False

    def __post_init__(self) -> None:
        check_layout(self.layout)
        layout = self.layout
        check_words(self.initial_state, self.interpolation, self.dt)
        self.values, self.mask = as_numbers("values", self.values), as_mask("mask", self.mask)
        check_entries(self.values, layout, on_grid=self.on_grid)
        check_like("mask", self.mask, self.values.shape, "as values")
        measured = self.mask
        if self.heldout is not None:
            self.heldout = as_heldout(self.heldout, self.mask)
            measured = measured | self.heldout
        check_finite("values", self.values, measured, "mask says that they were measured; make it false there")
        self.values = cleared(self.values, measured)
        self.noise_std = as_numbers("noise_std", self.noise_std)
        check_noise(self.noise_std, layout)
        simulations, times = self.values.shape[:2]
        self.train, self.val, self.test = as_simulations(self.train, self.val, self.test, simulations)
        if self.sigma_of_values is not None:
            self.sigma_of_values = as_sigma(self.sigma_of_values, measured)
            of_training = self.sigma_of_values[self.train], self.mask[self.train]
            self.noise_std = root_mean_square(*of_training, self.noise_std)
        self.initial_states = as_states("initial_states", self.initial_states, (simulations,), layout)
        if self.on_grid and self.initial_state == "full":
            check_full_start(self.mask, layout)
        if self.window_states is not None:
            self.window_states = as_states("window_states", self.window_states, (simulations, times), layout)
        if self.test_initial_states is not None:
            starts = as_numbers("test_initial_states", self.test_initial_states)
            self.test_initial_states = as_states("test_initial_states", starts, starts.shape[:1], layout)
        if self.positions is not None:
            self.positions = as_positions(self.positions, measured, layout, whole_start=self.initial_state == "full")
        self.offsets = as_offsets(self.offsets, self.positions, measured)

    @property
    def steps(self) -> int:
        """Steps of each trajectory."""
        return self.values.shape[1] - 1

    @property
    def on_grid(self) -> bool:
        """Whether measurements are entries of the states, so that the operator is the identity."""
        return self.positions is None

    @property
    def initial_known(self) -> bool:
        """Whether `initial_states` are the truth."""
        return self.initial_state == "exact"

    @property
    def initial_mask(self) -> Tensor:
        """Which entries of `initial_states` are known or were measured, `[S, C, *space]`; the others are a guess.

        If `initial_state` is "observed" and measurements are at points, there are none: those at t = 0 are
        `values[:, 0]`, as `operator` sees them.
        """
        if self.initial_state != "observed":
            return self.layout.valid.expand(self.initial_states.shape)
        return self.mask[:, 0] if self.on_grid else torch.zeros_like(self.initial_states, dtype=torch.bool)

    @property
    def noise_known(self) -> bool:
        """Whether σ of the residuals is the noise: where a channel has any. Else it is a scale that stands for it.

        A constant channel has no noise where the noise is a part of the standard deviation.
        """
        return bool((self.noise_std > 0).any())

    @property
    def has_noise(self) -> Tensor:
        """Channels whose residuals measure the noise, `[C]`: those with noise; all where none has any."""
        return (self.noise_std > 0) if self.noise_known else torch.ones_like(self.noise_std, dtype=torch.bool)

    @property
    def has_noise_of_entries(self) -> Tensor:
        """The same for entries, `[C, 1…]`, to be broadcast to `[S, T, C, K…]`."""
        return self.has_noise.reshape(self._per_channel)

    @property
    def sigma(self) -> Tensor:
        """σ per channel, `[C, 1, …]`: the standard deviation of the noise; noise-free, a thousandth of the data's."""
        return self._sigma().reshape(-1, *[1] * self.layout.grid.dimensions)

    def sigma_at(self, simulations: Sequence[int], times: slice | Sequence[int]) -> Tensor:
        """σ of entries of some simulations and states, `[S, T, C, K…]`; where it is that of the channels, `[C, 1…]`."""
        if self.sigma_of_values is None:
            return self._sigma().reshape(self._per_channel)
        return self.sigma_of_values[list(simulations)][:, times]

    def operator(self, simulations: Sequence[int], first: int, last: int, layout: Layout | None = None) -> Operator:
        """H for some simulations, at the states from `first` to `last`, both among them.

        It maps states `[S, T, C, *space]`, T = last - first + 1, or N copies of these simulations `[N*S, T, …]`, to
        entries that compare with `values[simulations, first : last + 1]`. With `offsets` it needs the state before
        them, unless `first` is 0. Where it reads points, they may have another `layout`.
        """
        if self.positions is None:
            return GridOperator()
        layout, at = layout or self.layout, (list(simulations), slice(first, last + 1))
        read, whole_start = stencil(layout, self.positions[at], self.interpolation), self.initial_state == "full"
        points = PointOperator.of(read, self.values.shape[-1], whole_start=whole_start and first == 0)
        return points if self.offsets is None else BetweenOperator.of(points, self.offsets[at], first, layout)

    def validation(self) -> tuple[list[int], Tensor]:
        """What models are validated on: some simulations, and a mask of their entries `[S, T+1, C, K…]`.

        The validation simulations; where there are none, what is held out of the training simulations.
        """
        if self.val or self.heldout is None:
            return self.val, self.mask[self.val]
        return self.train, self.heldout[self.train]

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation `[C]` of what was observed of the training simulations, see `mean_and_std`.

        Raises:
            ValueError: nothing was observed.
        """
        return mean_and_std(self.measured())

    def training_states(self, which: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Measured states of the training simulations `[S, T+1, C, *space]`, and where: initial states, too.

        Measurements at points say nothing of an entry: then that is the initial states alone. `which`: of which ones.
        """
        train = self.train[which]
        initial, initial_mask = rows_of(self.initial_states, train), rows_of(self.initial_mask, train)
        if self.on_grid:
            mask = rows_of(self.mask, train).clone()
            values = torch.where(mask, rows_of(self.values, train), 0.0)
            if not self.initial_known:  # then what was measured at t = 0 is among the values
                return values, mask
        else:
            shape = (len(train), self.steps + 1, *initial.shape[1:])
            values, mask = initial.new_zeros(shape), initial_mask.new_zeros(shape)
        values[:, 0] = torch.where(initial_mask, initial, torch.zeros_like(initial))
        mask[:, 0] = initial_mask
        return values, mask

    @property
    def training_parts(self) -> Parts:
        """The same in parts of some simulations."""
        size = self.initial_states[0].numel() * (self.steps + 1)
        return Parts(self.training_states, len(self.train), size, (self.values, self.mask, self.initial_states))

    def to_bundle(self) -> Bundle:
        """The observations as tensors and metadata, for the catalog."""
        tensors = {name: getattr(self, name) for name in (*_GIVEN, *_OPTIONAL) if getattr(self, name) is not None}
        metadata: dict[str, Any] = {
            "kind": "observations",
            "layout": self.layout.to_dict(),
            "dt": self.dt,
            **{name: getattr(self, name) for name in ("train", "val", "test")},
            "initial_state": self.initial_state,
            "interpolation": self.interpolation,
            **{name: True for name in _FLAGS if getattr(self, name)},
        }
        return Bundle(tensors, metadata)

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Observations:
        """The inverse of `to_bundle`."""
        t, m = bundle.tensors, bundle.metadata
        tensors: dict[str, Any] = {name: t[name] for name in _GIVEN} | {name: t.get(name) for name in _OPTIONAL}
        return cls(
            **tensors,
            train=m["train"],
            val=m["val"],
            test=m.get("test", []),
            layout=Layout.from_dict(m["layout"]),
            dt=m["dt"],
            initial_state=m["initial_state"],
            interpolation=m.get("interpolation", "linear"),
            **{name: m.get(name, False) for name in _FLAGS},
        )

    @property
    def _per_channel(self) -> tuple[int, ...]:
        return (-1, *[1] * (self.values.ndim - 3))

    def _sigma(self) -> Tensor:
        _mean, std = self.statistics()
        return channel_sigma(self.noise_std, std, NOISE_FREE_SIGMA, nothing_known(self.measured()))

    def measured(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Values and masks `[S, T, C, …]` of the training simulations, initial states among them, each once."""
        if self.on_grid:
            return self.training_parts
        if not self.initial_known:
            return [(self.values[self.train], self.mask[self.train])]
        initial, initial_mask = self.initial_states[self.train], self.initial_mask[self.train]
        return [(initial[:, None], initial_mask[:, None]), (self.values[self.train, 1:], self.mask[self.train, 1:])]


_FLAGS = ("from_file", "starts_estimated")
_GIVEN = ("values", "mask", "initial_states", "noise_std")
_OPTIONAL = ("window_states", "positions", "test_initial_states", "heldout", "offsets", "sigma_of_values")
