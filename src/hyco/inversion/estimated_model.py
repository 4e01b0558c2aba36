"""An equation with estimated parameters, which predicts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.registry import model_equation
from hyco.inversion.estimate import PhysicalEstimate
from hyco.stepping.physical_model import PhysicalModel
from hyco.stepping.stepper import execution_after_training
from hyco.trained_model import Time

log = logging.getLogger(__name__)


class EstimatedModel:
    """The physical model of an estimate; where that assumes another equation or a coarser grid, so does this.

    Its ranges that are `auto` are those of the estimate, and wider in rollouts whose states leave them or are rougher.

    Args:
        estimate: values of the learnt parameters; the others are the equation's.
        equation: that of the data.
    """

    stepping = True

    def __init__(self, estimate: PhysicalEstimate, equation: Equation) -> None:
        self.estimate = estimate
        self._data, self._layout = equation, equation.layout
        self._equation = self._with(estimate.ranges)
        self._execution = execution_after_training(estimate.execution)

    def covering(self, states: Tensor) -> EstimatedModel:
        """The same with ranges that rollouts from states `[B, C, *space]` begin with: for rollouts to be compared."""
        ranges = self._wider(self.estimate.ranges, states)
        return self if ranges is None else EstimatedModel(replace(self.estimate, ranges=ranges), self._data)

    def rollout(self, states: Tensor, steps: int, time: Time = 0.0) -> Tensor:
        """`[B, C, *space]` at `time` to `[B, steps, C, *space]`, in the dtype and on the device of `states`."""
        return self.rollout_with(self.estimate.stepper_values(states.dtype), states, steps, time)

    def rollout_with(self, learnt: Mapping[str, Tensor], states: Tensor, steps: int, time: Time = 0.0) -> Tensor:
        """The same with other values of what was learnt, as `Stepper.bind` takes them."""
        ranges = self._wider(self.estimate.ranges, states)
        equation = self._equation if ranges is None else self._with(ranges)
        while True:
            predicted = self._rolled_out(equation, learnt, states, steps, time)
            wider = self._wider(ranges or self.estimate.ranges, predicted)
            if wider is None:
                return predicted
            ranges, equation = wider, self._with(wider)

    @torch.no_grad()
    def _rolled_out(
        self, equation: Equation, learnt: Mapping[str, Tensor], states: Tensor, steps: int, time: Time
    ) -> Tensor:
        parameters = equation.parameter_tensors(states.dtype, states.device)
        parameters |= {name: value.to(states) for name, value in learnt.items()}
        model = PhysicalModel(equation, self._layout, self._execution, work=steps)
        return model.rollout(states, parameters, steps, time=time)

    def _with(self, ranges: dict[str, float]) -> Equation:
        """The physical model's equation on its own grid."""
        return model_equation(self._data, {**self.estimate.equation, **ranges}, self.estimate.resolution)

    def _wider(self, ranges: dict[str, float], states: Tensor) -> dict[str, float] | None:
        """Ranges for states `[…, C, *space]` that leave the present ones; None where they do not, or none is open."""
        if not ranges or not bool(torch.isfinite(states).all()):
            return None
        learnt = self.estimate.stepper_values(torch.float64)
        bounds = {name: (float(value.min()), float(value.max())) for name, value in learnt.items()}
        # On the grid of the data, which the states are on.
        equation = model_equation(self._data, {**self.estimate.equation, **ranges})
        reason = equation.unsuitable_within(states, bounds)
        if reason is None:
            return None
        own = model_equation(self._data, self.estimate.equation)
        needed = own.config.ranges(own.reach(states), bounds)
        # What is no number, a scheme, stays.
        wider = {k: v if isinstance(v, str) else max(v, needed.get(k, v)) for k, v in ranges.items()}
        if wider == ranges:
            return None
        log.info("A prediction leaves the range of the data (%s): it has more sub-steps.", reason.split(":")[0])
        return wider
