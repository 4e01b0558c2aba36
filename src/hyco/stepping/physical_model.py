"""The physical model on the grid of the data: rollouts of an equation, whatever grid it has itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.fields import Layout
from hyco.stepping.coarse import Transfer
from hyco.stepping.rollout import rollout
from hyco.stepping.segments import rollout_in_segments, segment_lengths, tape_bytes
from hyco.stepping.stepper import BoundStep, Execution, Stepper


class PhysicalModel:
    """Rollouts of an equation from states of the data's grid to states of it, whatever grid the equation has.

    On a coarser grid the initial state is the means over the cells, and the interpolation of each state is what is
    returned, see `hyco.stepping.coarse`; nothing of the initial state but its means has an effect.

    Args:
        equation: that of the physical model, on its own grid.
        layout: of the data's states.
        execution, work: how a step is run, and how many are to be expected, see `Stepper`.
    """

    def __init__(self, equation: Equation, layout: Layout, execution: Execution = "auto", work: int = 0) -> None:
        self.equation = equation
        self.stepper = Stepper(equation, execution, work)
        coarser = equation.layout.grid != layout.grid
        self.transfer = Transfer(layout, equation.layout) if coarser else None
        self._tapes: dict[Any, int] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> PhysicalModel:
        return self  # copies of a network share the physics that they correct

    def take(self, execution: Execution) -> None:
        """Change the execution of the steps from now on, for all who have this model."""
        self.stepper, self._tapes = Stepper(self.equation, execution, self.stepper.work), {}

    def bind(self, states: Tensor, parameters: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
        """One step of states of the data's grid like these, `[B, C, *space]`, with gradient.

        From a coarser grid its change is carried back, so that what the coarse grid does not hold stays as it was.
        """
        transfer = self.transfer
        if transfer is None:
            return self.stepper.bind(states, parameters)
        step = self.stepper.bind(transfer.restrict(states), parameters)

        def advance(state: Tensor) -> Tensor:
            own = transfer.restrict(state)
            return state + (transfer.prolong(step(own)) - transfer.prolong(own))

        return advance

    def rollout(
        self,
        starts: Tensor,
        parameters: Mapping[str, Tensor],
        steps: int,
        *,
        memory_budget: float = math.inf,
        read: Sequence[int] | None = None,
        correction: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """`[B, C, *space]` to `[B, steps, C, *space]`, with gradient.

        Args:
            parameters: see `Stepper`.
            memory_budget: bytes that the gradient may take beside the states that are read; a longer rollout is
                computed in segments, for about a third more time; not with a correction.
            read: numbers of the states to return, see `rollout`.
            correction: what a state of the data's grid becomes after each step; None: it stays.
        """
        if correction is not None:
            advance = self.bind(starts, parameters)
            return rollout(lambda state: correction(advance(state)), starts, steps, read)
        own = starts if self.transfer is None else self.transfer.restrict(starts)
        step = self.stepper.bind(own, parameters)
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
        key = (start.shape, start.dtype, tuple(v.requires_grad for v in inputs))
        if key not in self._tapes:
            self._tapes[key] = tape_bytes(step, start)
        return segment_lengths(steps, start.numel() * start.element_size(), self._tapes[key], budget)
