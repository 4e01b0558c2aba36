"""Residuals of the real data: what was measured of the training simulations, and the noise it is weighed with."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from hyco.fields import Layout
from hyco.observations import Observations
from hyco.observations.operators import Operator
from hyco.observations.time_interpolation import BetweenOperator


class MeasuredResiduals:
    """(H(u) - y)/σ, with states u, the observation operator H, measured values y and the noise σ.

    σ is that of each measurement where it is known, else that of the channel.

    Args:
        observations: of which the training simulations count.
        steps: the longest horizon; others may be shorter.
        first: number of the first state that counts: 0 where the initial states are unknown, else 1.

    Attributes:
        times: numbers of the states of which anything was measured. Measurements between states are counted to the
            next one; see `needed`.
        targets, mask: what was measured of them, `[S, R, C, K…]`.
        sigma: noise per channel `[C, 1, …]`, to be broadcast to states; of measurements its root mean square.
        known_noise: whether σ is the noise, not only a scale; see `Observations.noise_known`.
        scale: what σ is multiplied with where it is not the noise: a robust loss has to know how large residuals are.
    """

    def __init__(self, observations: Observations, *, steps: int, first: int, device: torch.device) -> None:
        train = observations.train
        self.observations, self.first = observations, first
        self.known_noise, self.scale = observations.noise_known, 1.0
        self.sigma = observations.sigma.to(device)
        measured = observations.mask[train, : steps + 1].flatten(2).any(dim=2).any(dim=0)
        self.times = [n for n in range(first, steps + 1) if measured[n]]
        self.targets = observations.values[train][:, self.times].to(device)
        self.mask = observations.mask[train][:, self.times].to(device)
        self._layout = observations.layout
        self._readings: dict[int, tuple[Operator, list[int]]] = {}
        self._sigma_of_entries = observations.sigma_at(train, self.times).to(device)

    def on_layout(self, layout: Layout) -> MeasuredResiduals:
        """The same measurements at points, of states on another grid of the domain."""
        other = copy(self)
        other._layout, other._readings = layout, {}
        return other

    def rescale(self, scale: float) -> None:
        """Take another `scale`."""
        self.scale = scale

    def read(self, steps: int) -> list[int]:
        """The times of the data up to a horizon."""
        return [n for n in self.times if n <= steps]

    def up_to(self, steps: int) -> tuple[Tensor, Tensor]:
        """Targets and mask up to a horizon."""
        last = len(self.read(steps))
        return self.targets[:, :last], self.mask[:, :last]

    def count(self, steps: int) -> int:
        """Number of residuals up to a horizon."""
        return int(self.up_to(steps)[1].sum())

    def noisy(self, steps: int) -> Tensor | None:
        """Which residuals have noise, a mask `[N]`; None: all."""
        channels = self.observations.has_noise_of_entries
        if bool(channels.all()):
            return None
        mask = self.up_to(steps)[1]
        return channels.to(mask.device).expand(mask.shape)[mask]

    def needed(self, steps: int) -> list[int]:
        """The numbers of the states that are read up to a horizon: `read`, and those around times between states."""
        return self._reading(steps)[1]

    def _reading(self, steps: int) -> tuple[Operator, list[int]]:
        """H for the training simulations at the times of the data up to a horizon, and the states it is of."""
        if steps not in self._readings:
            train, read = self.observations.train, self.read(steps)
            whole, times = (
                self.observations.operator(train, self.first, steps, self._layout),
                torch.tensor(read, dtype=torch.long),
            )
            chosen: Operator
            if isinstance(whole, BetweenOperator):
                chosen, read = whole.needed(times - self.first)
            else:
                chosen = whole.select(torch.arange(len(train))[:, None], times - self.first)
            self._readings[steps] = chosen.to(self.targets.device), read
        return self._readings[steps]

    def whitened(self, starts: Tensor, states: Tensor, steps: int, copies: int) -> Tensor:
        """The residuals `[K, N]` of K copies of all simulations.

        Args:
            starts: states at t = 0, `[K·S, C, *space]`.
            states: those that are `needed` but t = 0, `[K·S, R, C, *space]`.
        """
        operator, needed = self._reading(steps)
        if needed[:1] == [0]:
            states = torch.cat([starts[:, None], states], dim=1)
        targets, mask = self.up_to(steps)
        read = operator(states)
        residuals = (read.reshape(copies, -1, *read.shape[1:]) - targets) / self.sigma_up_to(steps)
        return residuals[:, mask] if self.scale == 1 else residuals[:, mask] / self.scale

    def sigma_up_to(self, steps: int) -> Tensor:
        """σ of the entries up to a horizon, `[S, R, C, K…]`; `[C, 1…]` where it is that of the channels."""
        if self.observations.sigma_of_values is None:
            return self._sigma_of_entries
        return self._sigma_of_entries[:, : len(self.read(steps))]
