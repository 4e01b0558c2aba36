"""Training windows: an initial state and the next `num_predict_steps` states, as index pairs into trajectories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from hyco.observations import Observations
from hyco.runtime.mapped import rows_of

Predict = Callable[[Tensor, int], Tensor]


class States(Protocol):
    """What is indexed like a tensor of states: one in memory, or what is read from a file."""

    def __getitem__(self, index: Any, /) -> Tensor:
        """Some of them."""


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

    def start_times(self, dt: float, which: Tensor | None = None) -> Tensor:
        """Their initial states' t, `[w]` float64, for all or some windows."""
        return dt * self.places(which)[1].double()

    def targets(self, states: States, which: Tensor | None = None) -> Tensor:
        """The states to predict, `[w, T, C, *space]`, of `states` `[S, T+1, C, *space]`, for all or some windows."""
        return states[self.indices(which)]

    def indices(self, which: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Simulation `[w, 1]` and times `[w, T]` of the states to predict, for all or some windows."""
        simulation, time = self.places(which)
        return simulation[:, None], time[:, None] + torch.arange(1, self.length + 1)

    def starts(self, states: Tensor, which: Tensor | None = None) -> Tensor:
        """The initial states, `[w, C, *space]`, of `states` `[S, T+1, C, *space]`."""
        simulation, time = self.places(which)
        return states[simulation, time]

    def places(self, which: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Simulation `[w]` and time `[w]` of the initial states, for all or some windows."""
        if which is None:
            return self.simulation, self.time
        return self.simulation[which], self.time[which]


class WindowStarts:
    """The initial states of the windows: observed values, and a model's rollout elsewhere.

    At t = 0 the initial state: the exact one, or the best estimate of it (see `set_initial`). Later, by
    `observation.window_start`: observed values where there are any and a model's own rollout from t = 0 elsewhere; or
    the hidden truth, for comparison. Measurements at points are no values of a state: there all later starts are a
    rollout.
    """

    def __init__(self, observations: Observations, windows: Windows) -> None:
        self.initial_states = rows_of(observations.initial_states, observations.train)
        self._windows = windows
        self._mask: Tensor | None = None
        if observations.window_states is not None:
            self._values = windows.starts(observations.window_states[observations.train])
        else:
            values, mask = observations.training_states()
            # The best estimate of the initial state counts as observed, and padding needs no filling.
            values[:, 0], mask[:, 0] = self.initial_states, True
            self._values, self._mask = windows.starts(values), windows.starts(mask | ~observations.layout.valid)
        nowhere = torch.zeros(len(windows), dtype=torch.bool)
        # Windows whose start was not observed as a whole.
        self._incomplete = nowhere if self._mask is None else ~self._mask.flatten(1).all(dim=1)
        self.complete = not bool(self._incomplete.any())
        self._given = self.initial_states, self._values

    def set_initial(self, states: Tensor | None) -> None:
        """Put better initial states `[S, C, *space]` of the training simulations in the place of those observed.

        Windows at t = 0 start from them, and rollouts that fill later starts. None: those observed again.
        """
        self.initial_states, self._values = self._given
        if states is None:
            return
        self.initial_states = states.detach().to(self.initial_states)
        initial = self._windows.initial
        self._values = self._values.clone()
        self._values[initial] = self.initial_states[self._windows.simulation[initial]]

    def fill(self, predict: Predict, which: Tensor | None = None) -> States:
        """The starts `[W, C, *space]`, filled by a model's rollout where nothing was observed.

        Args:
            predict: initial states `[S, C, *space]` and a number of steps to states `[S, steps, C, *space]`, without
                gradient. Not called where nothing needs filling.
            which: a mask of the windows that matter, `[W]`; None: all. The starts of the others hold what was observed,
                and zeros elsewhere.
        """
        incomplete = self._incomplete if which is None else self._incomplete & which
        if self._mask is None or not bool(incomplete.any()):
            return self._values
        simulation, time = self._windows.simulation[incomplete], self._windows.time[incomplete]
        rolled = predict(self.initial_states, int(time.max()))
        states = torch.cat([self.initial_states[:, None], rolled.to(self._values.dtype)], dim=1)
        filled = self._values.clone()
        filled[incomplete] = torch.where(self._mask[incomplete], filled[incomplete], states[simulation, time])
        return filled
