"""Rollouts of an equation on PhiFlow Fields, for those who work with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phi import math
from phi.math import batch

from hyco.equations.equation import Equation
from hyco.equations.ranges import covering
from hyco.fields import precision, to_tensor


def physical_rollout(
    equation: Equation,
    fields: Mapping[str, Any],
    parameters: Mapping[str, Any],
    num_predict_steps: int,
    time: Any = 0.0,
) -> dict[str, Any]:
    """Roll an equation out on PhiFlow Fields, every step kept, in the precision of the fields.

    Args:
        fields: the initial state, Fields by name (`{"velocity": …}` for Burgers).
        parameters: floats or PhiML tensors by name.
        time: t of the initial state, a float or a PhiML tensor with batch dimensions of the fields; of no effect on an
            autonomous equation or a static one.

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
    with precision(max(field.values.dtype.precision for field in state.values())):
        for number in range(num_predict_steps):
            for i in range(equation.substeps):
                state = equation.step(state, parameters, *_times(equation, time, number * equation.substeps + i))
            for name, field in state.items():
                states[name].append(field)
        return {name: math.stack(steps, batch("time")) for name, steps in states.items()}


def _times(equation: Equation, begin: Any, substeps: int) -> tuple[Any, ...]:
    """What the step takes beside fields and parameters, so many sub-steps after the beginning."""
    if equation.autonomous:
        return ()
    if equation.config.is_static:
        return (math.wrap(0.0),)
    return (math.wrap(begin) + substeps * equation.dt / equation.substeps,)
