"""An equation with estimated parameters, which predicts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.registry import model_equation
from hyco.inversion.estimate import PhysicalEstimate
from hyco.stepping.physical_model import PhysicalModel
from hyco.stepping.stepper import execution_after_training


class EstimatedModel:
    """The physical model of an estimate; where that assumes another equation or a coarser grid, so does this.

    Args:
        estimate: values of the learnt parameters; the others are the equation's.
        equation: that of the data.
    """

    stepping = True

    def __init__(self, estimate: PhysicalEstimate, equation: Equation) -> None:
        self.estimate = estimate
        self._layout = equation.layout
        self._equation = model_equation(equation, estimate.equation, estimate.resolution)
        self._execution = execution_after_training(estimate.execution)

    def rollout(self, states: Tensor, steps: int) -> Tensor:
        """`[B, C, *space]` to `[B, steps, C, *space]`, in the dtype and on the device of `states`."""
        return self.rollout_with(self.estimate.stepper_values(states.dtype), states, steps)

    @torch.no_grad()
    def rollout_with(self, learnt: Mapping[str, Tensor], states: Tensor, steps: int) -> Tensor:
        """The same with other values of what was learnt, as `Stepper.bind` takes them."""
        parameters = self._equation.parameter_tensors(states.dtype, states.device)
        parameters |= {name: value.to(states) for name, value in learnt.items()}
        return PhysicalModel(self._equation, self._layout, self._execution, work=steps).rollout(
            states, parameters, steps
        )
