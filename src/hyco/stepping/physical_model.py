"""The physical model on the grid of the data: rollouts of an equation, whatever grid it has itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.fields import Layout
from hyco.stepping.bound_step import BoundStep
from hyco.stepping.coarse import Transfer
from hyco.stepping.rollout import TimedStep, rollout
from hyco.stepping.segments import rollout_in_segments, segment_lengths, tape_bytes
from hyco.stepping.stepper import Execution, Stepper
from hyco.trained_model import Time


class PhysicalModel:
    """Rollouts of an equation from states of the data's grid to states of it, whatever grid the equation has.

    On a coarser grid the initial state is the means over the cells, and the interpolation of each state is what is
    returned, see `hyco.stepping.coarse`; nothing of the initial state but its means has an effect.

    Args:
        equation: that of the physical model, on its own grid.
        layout: of the data's states.
        execution, work: how a step is run, and how many are to be expected, see `Stepper`.

    Attributes:
        equation, layout: as given.
    """

    def __init__(self, equation: Equation, layout: Layout, execution: Execution = "auto", work: int = 0) -> None:
        self.equation, self.layout = equation, layout
        self.stepper = Stepper(equation, execution, work)
        coarser = equation.layout.grid != layout.grid
        self.transfer = Transfer(layout, equation.layout) if coarser else None
        self._tapes: dict[Any, int] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> PhysicalModel:
        return self  # copies of a network share the physics that they correct

    def take(self, execution: Execution, code: Iterable[str] | None = None) -> None:
        """Change the execution of the steps from now on, for all who have this model; see `Stepper` for the code."""
        self.stepper, self._tapes = Stepper(self.equation, execution, self.stepper.work, code), {}

    def bind(self, states: Tensor, parameters: Mapping[str, Tensor], time: Time = 0.0) -> TimedStep:
        """One step of states of the data's grid like these, `[B, C, *space]`, with gradient.

        From a coarser grid its change is carried back, so that what the coarse grid does not hold stays as it was.

        Args:
            parameters, time: see `Stepper.bind`.
        """
        transfer = self.transfer
        if transfer is None:
            return self.stepper.bind(states, parameters, time)
        return _CoarseStep(self.stepper.bind(transfer.restrict(states), parameters, time), transfer)

    def rollout(
        self,
        starts: Tensor,
        parameters: Mapping[str, Tensor],
        steps: int,
        *,
        time: Time = 0.0,
        memory_budget: float = math.inf,
        read: Sequence[int] | None = None,
        correction: Callable[[Tensor], Tensor] | None = None,
        before: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """`[B, C, *space]` to `[B, steps, C, *space]`, with gradient.

        Args:
            parameters: see `Stepper`.
            time: t of the starts, `[]` or `[B]`; of no effect on an autonomous equation or a static one.
            memory_budget: bytes that the gradient may take beside the states that are read; a longer rollout is
                computed in segments, for about a third more time; not with a correction.
            read: numbers of the states to return, see `rollout`.
            correction: what a state of the data's grid becomes after each step; None: it stays.
            before: what it becomes before each, where there is a correction; None: it stays.
        """
        if correction is not None:
            return rollout(_CorrectedStep(self.bind(starts, parameters, time), correction, before), starts, steps, read)
        own = starts if self.transfer is None else self.transfer.restrict(starts)
        step = self.stepper.bind(own, parameters, time)
        if read is not None:
            steps = max(read, default=0)
        if steps > 1 and self.stepper.execution == "compiled" and torch.is_grad_enabled():
            # The first step then has a gradient by the state as the others have, and is compiled with them.
            own = own if own.requires_grad else own.detach().requires_grad_(any(v.requires_grad for v in step.inputs))
        lengths = self._segment_lengths(step, own, steps, memory_budget)
        states = rollout_in_segments(step, own, steps, lengths, read) if lengths else rollout(step, own, steps, read)
        return states if self.transfer is None else self.transfer.prolong(states)

    def _segment_lengths(self, step: BoundStep, start: Tensor, steps: int, budget: float) -> tuple[int, ...]:
        """How a rollout is divided for its gradient; () where it has none, or where all of it fits."""
        inputs = [start, *step.inputs]
        if not torch.is_grad_enabled() or not any(v.requires_grad for v in inputs) or math.isinf(budget):
            return ()
        times = None if step.time is None else step.time.ndim
        key = (start.shape, start.dtype, tuple(v.requires_grad for v in inputs), times)
        if key not in self._tapes:
            self._tapes[key] = tape_bytes(step, start)
        return segment_lengths(steps, start.numel() * start.element_size(), self._tapes[key], budget)


@dataclass(frozen=True)
class _CoarseStep(TimedStep):
    """A step of states of the data's grid by one on a coarser grid."""

    step: TimedStep
    transfer: Transfer

    def __call__(self, state: Tensor, number: int = 0) -> Tensor:
        """The state, changed by what the coarse one changes."""
        own = self.transfer.restrict(state)
        return state + (self.transfer.prolong(self.step(own, number)) - self.transfer.prolong(own))


@dataclass(frozen=True)
class _CorrectedStep(TimedStep):
    """A step, and what becomes of a state before and after it."""

    step: TimedStep
    correction: Callable[[Tensor], Tensor]
    before: Callable[[Tensor], Tensor] | None = None

    def __call__(self, state: Tensor, number: int = 0) -> Tensor:
        """All, one after the other."""
        state = state if self.before is None else self.before(state)
        return self.correction(self.step(state, number))
