"""Rollouts of an equation on PhiFlow Fields, for those who work with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phi import math
from phi.math import batch

from hyco.equations.equation import Equation
from hyco.equations.ranges import covering
from hyco.fields import to_tensor


def physical_rollout(
    equation: Equation, fields: Mapping[str, Any], parameters: Mapping[str, Any], num_predict_steps: int
) -> dict[str, Any]:
    """Roll an equation out on PhiFlow Fields, every step kept.

    Args:
        fields: the initial state, Fields by name (`{"velocity": …}` for Burgers).
        parameters: floats or PhiML tensors by name.

    Ranges of the equation that are `auto` cover the initial state, and parameters that are floats.

    Returns:
        Fields by name with a dimension `batch("time")` of `num_predict_steps` states after the initial one.
    """
    state = dict(fields)
    if equation.config.open_ranges:
        given = {name: (float(v), float(v)) for name, v in parameters.items() if isinstance(v, int | float)}
        dims = tuple(dict.fromkeys(name for field in state.values() for name in field.values.shape.batch.names))
        equation = covering(equation, equation.reach(to_tensor(state, equation.layout, dims)), given)
    states: dict[str, list[Any]] = {name: [] for name in state}
    for _ in range(num_predict_steps):
        for _ in range(equation.substeps):
            state = equation.step(state, parameters)
        for name, field in state.items():
            states[name].append(field)
    return {name: math.stack(steps, batch("time")) for name, steps in states.items()}
