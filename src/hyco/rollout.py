"""Rollouts: repeated prediction from one initial state, which is not in the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from phi import math
from phi.math import batch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from hyco.fields import Layout
from hyco.physics.coarse import Transfer
from hyco.physics.equation import Equation
from hyco.physics.stepper import Path, Stepper


class Model(Protocol):
    """What training and evaluation ask of either model: what do you predict from these initial states?"""

    def predict(self, starts: Tensor, steps: int) -> Tensor:
        """`[B, C, *space]` to `[B, steps, C, *space]`, without gradient."""


def rollout(
    step: Callable[[Tensor], Tensor], start: Tensor, steps: int, *, gradient_checkpointing: bool = False
) -> Tensor:
    """Apply `step` again and again: `[B, C, *space]` to `[B, steps, C, *space]`.

    Args:
        gradient_checkpointing: keep only the states and recompute each step for the gradient: memory for one step
            instead of all, for about a third more time.
    """
    states = []
    state = start
    for _ in range(steps):
        state = checkpoint(step, state, use_reentrant=False) if gradient_checkpointing else step(state)
        states.append(state)
    return torch.stack(states, dim=1)


def physical_rollout(
    equation: Equation, fields: Mapping[str, Any], parameters: Mapping[str, Any], num_predict_steps: int
) -> dict[str, Any]:
    """Roll an equation out on PhiFlow Fields, every step kept.

    Args:
        fields: the initial state, Fields by name (`{"velocity": …}` for Burgers).
        parameters: floats or PhiML tensors by name.

    Returns:
        Fields by name with a dimension `batch("time")` of `num_predict_steps` states after the initial one.
    """
    state = dict(fields)
    states: dict[str, list[Any]] = {name: [] for name in state}
    for _ in range(num_predict_steps):
        for _ in range(equation.substeps):
            state = equation.step(state, parameters)
        for name, field in state.items():
            states[name].append(field)
    return {name: math.stack(steps, batch("time")) for name, steps in states.items()}


class PhysicalModel:
    """Rollouts of an equation from states of the data's grid to states of it, whatever grid the equation has.

    On a coarser grid the initial state is the means over the cells, and the interpolation of each state is what is
    returned, see `hyco.physics.coarse`; nothing of the initial state but its means has an effect.

    Args:
        equation: that of the physical model, on its own grid.
        layout: of the data's states.
        path: how a step is run.
    """

    def __init__(self, equation: Equation, layout: Layout, path: Path = "auto") -> None:
        self.equation = equation
        self.stepper = Stepper(equation, path)
        coarser = equation.layout.grid != layout.grid
        self.transfer = Transfer(layout, equation.layout) if coarser else None

    def rollout(
        self, starts: Tensor, parameters: Mapping[str, Tensor], steps: int, *, gradient_checkpointing: bool = False
    ) -> Tensor:
        """`[B, C, *space]` to `[B, steps, C, *space]`, with gradient.

        Args:
            parameters: see `Stepper`.
        """
        own = starts if self.transfer is None else self.transfer.restrict(starts)
        states = rollout(self.stepper.bind(own, parameters), own, steps, gradient_checkpointing=gradient_checkpointing)
        return states if self.transfer is None else self.transfer.prolong(states)
