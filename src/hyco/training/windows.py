"""Training windows: an initial state and the next `num_predict_steps` states, as index pairs into trajectories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hyco.observations import Observations

Predict = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class Windows:
    """Where each window starts.

    Attributes:
        simulation: position of its simulation among the training simulations, `[W]`.
        time: index of its initial state, `[W]`.
        length: states to predict.
    """

    simulation: Tensor
    time: Tensor
    length: int

    @classmethod
    def of(cls, observations: Observations, length: int, sliding: bool) -> Windows:
        """Windows of the training simulations: one after the other, or starting at every state.

        Raises:
            ValueError: the window is longer than the trajectories.
        """
        if length > observations.steps:
            raise ValueError(f"num_predict_steps is {length}, but generation.steps is only {observations.steps}")
        times = torch.arange(0, observations.steps - length + 1, 1 if sliding else length)
        simulations = torch.arange(len(observations.train))
        return cls(
            simulation=simulations.repeat_interleave(len(times)), time=times.repeat(len(simulations)), length=length
        )

    def __len__(self) -> int:
        return len(self.simulation)

    @property
    def initial(self) -> Tensor:
        """Whether a window starts at t = 0, `[W]`."""
        return self.time == 0

    def targets(self, states: Tensor, which: Tensor | None = None) -> Tensor:
        """The states to predict, `[w, T, C, *space]`, of `states` `[S, T+1, C, *space]`, for all or some windows."""
        simulation, time = self._select(which)
        return states[simulation[:, None], time[:, None] + torch.arange(1, self.length + 1)]

    def starts(self, states: Tensor, which: Tensor | None = None) -> Tensor:
        """The initial states, `[w, C, *space]`, of `states` `[S, T+1, C, *space]`."""
        simulation, time = self._select(which)
        return states[simulation, time]

    def _select(self, which: Tensor | None) -> tuple[Tensor, Tensor]:
        if which is None:
            return self.simulation, self.time
        return self.simulation[which], self.time[which]


class WindowStarts:
    """The initial states of the windows, from what is known: observed values, and a model's rollout elsewhere.

    At t = 0 the known initial state. Later, by `observation.window_start`: observed values where there are any and a
    model's own rollout from t = 0 elsewhere; or the hidden truth, for comparison.
    """

    def __init__(self, observations: Observations, windows: Windows) -> None:
        self.initial_states = observations.initial_states[observations.train]
        if observations.window_states is not None:
            values, mask = observations.window_states[observations.train], None
        else:
            values, mask = observations.training_states()
        self._windows = windows
        self._values = windows.starts(values)
        self._mask = None if mask is None else windows.starts(mask)
        self.complete = self._mask is None or bool(self._mask.all())
        self._latest = int(windows.time.max())

    def fill(self, predict: Predict) -> Tensor:
        """The starts `[W, C, *space]`, filled by a model's rollout where nothing was observed.

        Args:
            predict: initial states `[S, C, *space]` and a number of steps to states `[S, steps, C, *space]`, without
                gradient. Not called where nothing needs filling.
        """
        if self.complete or self._mask is None:
            return self._values
        rolled = predict(self.initial_states, self._latest)
        states = torch.cat([self.initial_states[:, None], rolled.to(self._values.dtype)], dim=1)
        return torch.where(self._mask, self._values, self._windows.starts(states))
