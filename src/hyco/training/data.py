"""What a network that steps states trains on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from hyco.networks.synthetic import SyntheticModel
from hyco.observations import Observations, Operator, counts
from hyco.observations.weights import root_weights
from hyco.runtime.mapped import is_mapped, rows_of
from hyco.training.stored import StoredStates, states_measured
from hyco.training.windows import States, Windows

_Batch = TypeVar("_Batch", bound=tuple[Tensor, Any])


@dataclass(frozen=True)
class Samples:
    """What an epoch trains on beside the measurements, normalised, on the network's device.

    Attributes:
        starts: initial states of the windows, `[W, C, *space]`.
        physical: the physical model's predictions from them, `[W, T, C, *space]`; None: real data alone.
        fresh: the physical model's trajectories from other states, these among them, `[F, M+1, C, *space]`, M >= T;
            None: there are none.
    """

    starts: States
    physical: Tensor | None = None
    fresh: Tensor | None = None


@dataclass(frozen=True)
class WindowData:
    """What was measured of the training simulations, window by window; it does not change.

    Attributes:
        windows: where they are.
        values: normalised float32 on the network's device, once: a batch of windows is an index into them; of data on
            disk they are read where they are asked for;
            `[S, T+1, C, K…]`.
        mask: which of the values were measured, in the shape of them.
        root_weights: what errors are multiplied with, in the shape of them; see `root_weights`; None: all weigh alike.
        operator: from normalised states to normalised values.
        observed: windows of which anything is measured, `[W]`: without predictions the others teach nothing.
        complete: windows of which everything is measured, `[W]`.
        counts: how many values were measured of each state, `[S, T+1]`.
        first_observed: steps to the first state of each window of which anything is measured, `[W]`, one more than
            there are where nothing is.

    The last four are on the CPU, where batches are drawn.
    """

    windows: Windows
    values: States
    mask: States
    root_weights: Tensor | None
    operator: Operator
    observed: Tensor
    complete: Tensor
    counts: Tensor
    first_observed: Tensor

    @classmethod
    def of(cls, observations: Observations, windows: Windows, model: SyntheticModel) -> WindowData:
        """The training simulations' measurements in the units of a model, on its device."""
        values, mask = (rows_of(v, observations.train) for v in (observations.values, observations.mask))
        device = model.device
        shape = (-1, *[1] * (values.ndim - 3))

        def normalised(measured: Tensor) -> Tensor:
            return ((measured.to(device) - model.mean.reshape(shape)) / model.std.reshape(shape)).float()

        def on_device(measured: Tensor) -> Tensor:
            return measured.to(device)

        operator = observations.operator(observations.train, 1, observations.steps)
        weights = root_weights(observations)
        anything, everything = states_measured(mask)
        states = windows.targets(anything)
        observed = states.any(dim=1)
        stored = is_mapped(values)
        return cls(
            windows,
            StoredStates(values, normalised) if stored else normalised(values),
            StoredStates(mask, on_device) if stored else on_device(mask),
            None if weights is None else weights[observations.train].to(device, torch.float32),
            operator.normalised(*observations.statistics()).to(device, torch.float32),
            observed=observed,
            complete=windows.targets(everything).all(dim=1),
            counts=counts(observations),
            first_observed=torch.where(observed, 1 + states.int().argmax(dim=1), len(states[0]) + 1),
        )

    def ahead(self, batches: Iterator[_Batch]) -> Iterator[_Batch]:
        """The same batches of windows; of data on disk the next one is read meanwhile."""
        return self.values.ahead(self.windows, batches) if isinstance(self.values, StoredStates) else batches

    def sees(self, which: Tensor, length: int) -> bool:
        """Whether anything is measured in the first `length` states of these windows, `[w]`."""
        return bool((self.first_observed[which] <= length).any())

    def count(self, which: Tensor, length: int) -> int:
        """How many values were measured in the first `length` states of these windows, `[w]`."""
        return int(self.windows.targets(self.counts, which)[:, :length].sum())

    def errors(self, prediction: Tensor, which: Tensor, starts: Tensor) -> tuple[Tensor, Tensor | None]:
        """H(u) - y in windows `[w]`, and where it was measured; None: everywhere.

        Where each measurement has its own σ, the squares have weights ∝ 1/σ² of mean 1.

        Args:
            prediction: normalised, `[w, length, C, *space]`.
            which: the windows.
            starts: their initial states, normalised, `[w, C, *space]`.
        """
        length = prediction.shape[1]
        simulation, time = self.windows.indices(which)
        measured = self.operator.select(simulation, time[:, :length] - 1)(prediction, before=starts)
        error = measured - self.windows.targets(self.values, which)[:, :length]
        if self.root_weights is not None:
            error = error * self.windows.targets(self.root_weights, which)[:, :length]
        complete = bool(self.complete[which].all())
        return error, None if complete else self.windows.targets(self.mask, which)[:, :length]
