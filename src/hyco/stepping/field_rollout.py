"""Rollouts of an equation on PhiFlow Fields, for those who work with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phi import math
from phi.math import batch

from hyco.equations.equation import Equation


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
