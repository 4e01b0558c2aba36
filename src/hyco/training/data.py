"""What a network that steps states trains on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hyco.losses import mean_square
from hyco.networks.synthetic import SyntheticModel
from hyco.observations import Observations, Operator
from hyco.observations.weights import root_weights
from hyco.training.windows import Windows


@dataclass(frozen=True)
class Samples:
    """What an epoch trains on beside the measurements, normalised, on the network's device.

    Attributes:
        starts: initial states of the windows, `[W, C, *space]`.
        physical: the physical model's predictions from them, `[W, T, C, *space]`; None: real data alone.
        fresh: the physical model's trajectories from other states, these among them, `[F, M+1, C, *space]`, M >= T;
            None: there are none.
    """

    starts: Tensor
    physical: Tensor | None = None
    fresh: Tensor | None = None


@dataclass(frozen=True)
class WindowData:
    """What was measured of the training simulations, window by window; it does not change.

    Attributes:
        windows: where they are.
        values: normalised float32 on the network's device, once: a batch of windows is an index into them;
            `[S, T+1, C, K…]`.
        mask: which of the values were measured, in the shape of them.
        root_weights: what errors are multiplied with, in the shape of them; see `root_weights`; None: all weigh alike.
        operator: from normalised states to normalised values.
        observed: windows of which anything is measured, `[W]`: without predictions the others teach nothing.
        complete: windows of which everything is measured, `[W]`.
        first_observed: steps to the first state of each window of which anything is measured, `[W]`, one more than
            there are where nothing is.

    The last three are on the CPU, where batches are drawn.
    """

    windows: Windows
    values: Tensor
    mask: Tensor
    root_weights: Tensor | None
    operator: Operator
    observed: Tensor
    complete: Tensor
    first_observed: Tensor

    @classmethod
    def of(cls, observations: Observations, windows: Windows, model: SyntheticModel) -> WindowData:
        """The training simulations' measurements in the units of a model, on its device."""
        values, mask = observations.values[observations.train], observations.mask[observations.train]
        device = model.device
        shape = (-1, *[1] * (values.ndim - 3))
        normalised = (values.to(device) - model.mean.reshape(shape)) / model.std.reshape(shape)
        operator = observations.operator(observations.train, 1, observations.steps)
        weights = root_weights(observations)
        states = windows.targets(mask).flatten(2).any(dim=2)
        observed = states.any(dim=1)
        return cls(
            windows,
            normalised.float(),
            mask.to(device),
            None if weights is None else weights[observations.train].to(device, torch.float32),
            operator.normalised(*observations.statistics()).to(device, torch.float32),
            observed=observed,
            complete=windows.targets(mask).flatten(1).all(dim=1),
            first_observed=torch.where(observed, 1 + states.int().argmax(dim=1), len(states[0]) + 1),
        )

    def sees(self, which: Tensor, length: int) -> bool:
        """Whether anything is measured in the first `length` states of these windows, `[w]`."""
        return bool((self.first_observed[which] <= length).any())

    def mean_square(self, prediction: Tensor, which: Tensor, starts: Tensor) -> Tensor:
        """Mean of (H(u) - y)² over what is measured in windows `[w]`.

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
        return mean_square(error, None if complete else self.windows.targets(self.mask, which)[:, :length])
