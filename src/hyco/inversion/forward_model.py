"""From coordinates of the unknown parameters to states: the physical model as a function of the unknowns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.fields import Layout
from hyco.parameters import Learnable, ParameterSpace
from hyco.stepping.physical_model import PhysicalModel
from hyco.stepping.stepper import Execution, Stepper
from hyco.trained_model import Time


class StepCorrection(Protocol):
    """What missing terms and a network make of a state around each physical step."""

    @property
    def active(self) -> bool:
        """Whether it adds anything yet."""

    def before(self, states: Tensor) -> Tensor:
        """Before the step: `[B, C, *space]` to `[B, C, *space]`, with gradient with respect to the states."""

    def __call__(self, states: Tensor) -> Tensor:
        """After it: `[B, C, *space]` to `[B, C, *space]`, with gradient with respect to the states."""

    def state(self) -> dict[str, Tensor]:
        """What changes during training."""

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`."""


class ForwardModel:
    """Rollouts of the physical model for coordinates θ `[p]` of its learnable parameters.

    Args:
        equation: that of the physical model; its grid may be coarser than that of the states.
        layout: of the states.
        learnable: the unknown parameters; the others have the values that the equation's configuration gives them.
        execution, work: how a step is run, and how many are to be expected; see `Stepper`.
        memory_budget: bytes that the gradient of a rollout may take, see `PhysicalModel`.
        correction: of the physical step, learnt by a network; None: none.

    Attributes:
        work: steps computed so far for residuals and their derivatives, summed over the batch.
    """

    def __init__(
        self,
        equation: Equation,
        layout: Layout,
        learnable: Sequence[Learnable],
        *,
        execution: Execution = "auto",
        work: int = 0,
        memory_budget: float = math.inf,
        correction: StepCorrection | None = None,
        device: torch.device,
    ) -> None:
        self.model = PhysicalModel(equation, layout, execution, work)
        self.space = ParameterSpace(learnable, equation.layout.grid, equation.config.limits)
        given = equation.parameter_tensors(torch.float64, device)
        self._given = {k: v for k, v in given.items() if k not in self.space.names}
        self._memory_budget = memory_budget
        self.correction = correction
        self.work = 0

    @property
    def stepper(self) -> Stepper:
        """What runs the equation's step, on the equation's own grid."""
        return self.model.stepper

    def values(self, theta: Tensor) -> dict[str, Tensor]:
        """All parameters of the equation as the stepper takes them, for coordinates `[p]` or `[B, p]`."""
        return {**self.space.for_stepper(theta), **self._given}

    @torch.no_grad()
    def predict(self, starts: Tensor, theta: Tensor, steps: int, time: Time = 0.0) -> Tensor:
        """Rollout `[B, steps, C, *space]` without gradient and without correction; it is no work of the inversion.

        So predictions may be made again where a killed run goes on, and its record stays the same.
        """
        return self.model.rollout(starts, self.values(theta), steps, time=time, memory_budget=self._memory_budget)

    def rollout(
        self, starts: Tensor, theta: Tensor, steps: int, read: Sequence[int] | None = None, time: Time = 0.0
    ) -> Tensor:
        """Rollout `[B, steps, C, *space]`, with gradient; or of its states only those with the numbers `read`.

        Each step is corrected, where there is a correction.

        Args:
            theta: `[p]`, or `[B, p]` with values for each start.
            time: t of the starts.
        """
        self.work += starts.shape[0] * steps
        return self._rollout(starts, theta, steps, read, time)

    def rollout_copies(
        self,
        starts: Tensor,
        theta: Tensor,
        steps: int,
        count: int,
        read: Sequence[int] | None = None,
        time: Time = 0.0,
    ) -> Tensor:
        """The same for a number of copies that changes from call to call: filled up, so that few graphs are compiled.

        Args:
            count: starts of one copy.
        """
        size = len(starts)
        fill = (_next_size(size // count) * count - size) if self.stepper.compiles_each_size else 0
        if fill == 0:
            return self.rollout(starts, theta, steps, read, time)
        self.work += size * steps
        starts = torch.cat([starts, starts[-1:].expand(fill, *starts.shape[1:])])
        theta = torch.cat([theta, theta[-1:].expand(fill, -1)])
        if isinstance(time, Tensor) and time.ndim:
            time = torch.cat([time, time[-1:].expand(fill)])
        return self._rollout(starts, theta, steps, read, time)[:size]

    def _rollout(self, starts: Tensor, theta: Tensor, steps: int, read: Sequence[int] | None, time: Time) -> Tensor:
        correction = self.correction if self.correction is not None and self.correction.active else None
        return self.model.rollout(
            starts,
            self.values(theta),
            steps,
            time=time,
            memory_budget=self._memory_budget,
            read=read,
            correction=correction,
            before=None if correction is None else correction.before,
        )

    def count_from(self, work: int) -> None:
        """Go on counting where a training was that was interrupted."""
        self.work = work


def _next_size(copies: int) -> int:
    """The next number that is a power of two, or three halves of one; up to four, the number itself."""
    if copies <= 4:
        return copies
    power = 1 << (copies - 1).bit_length()
    return 3 * power // 4 if copies <= 3 * power // 4 else power
