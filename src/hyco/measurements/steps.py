"""Times as states of a trajectory, which are `dt` apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyco.measurements.columns import Numbers
from hyco.measurements.rows import Rows
from hyco.observations.checks import MeasurementError

# Part of dt that a time may be off.
_TOLERANCE = 1e-6
# A common divisor that needs more steps than this is rounding.
_MOST_STEPS = 100_000

# More steps than this are none.
_LARGEST = 2**53


def steps_of(rows: Rows, name: str, dt: float) -> NDArray[np.int64]:
    """The state that each measurement is of, `[n]`; 0 is that at t = 0.

    Raises:
        MeasurementError: a time is before the start, or no multiple of dt; says which dt would fit, where one does.
    """
    tolerance = _TOLERANCE * dt + rows.time_rounding
    early = np.flatnonzero(rows.time < -tolerance)
    if len(early):
        raise MeasurementError(
            f"{name}, {rows.place(early[0])}: this is {-rows.time[early[0]]:.10g} before start, the time of t = 0; "
            f"leave out such measurements or change start ({len(early)} such)"
        )
    steps = np.rint(rows.time / dt)
    if len(steps) and steps.max() > _LARGEST:
        last = int(steps.argmax())
        raise MeasurementError(
            f"{name}, {rows.place(last)}: t = {rows.time[last]:.10g} after the start is {steps[last]:g} steps of dt: "
            "is scale.time right?"
        )
    between = np.flatnonzero(np.abs(rows.time - steps * dt) > tolerance)
    if len(between):
        first = rows.time[between[0]]
        divisor = common_divisor(rows.time, max(rows.time_rounding, _TOLERANCE * float(np.abs(rows.time).max())))
        advice = (
            "no dt fits all times, and times between the states cannot be used yet: round them to multiples of one"
            if divisor is None
            else f"equation.dt: {divisor:.10g} would fit all times"
        )
        raise MeasurementError(
            f"{name}, {rows.place(between[0])}: t = {first:.10g} after the start is no multiple of dt = {dt:g} "
            f"({first / dt:.6g} steps); {advice}"
        )
    return steps.astype(np.int64)


def common_divisor(times: Numbers, rounding: float) -> float | None:
    """The largest number that all times are multiples of, but for rounding; None if it is too small to mean anything.

    Args:
        times: at least one is not zero.
        rounding: by how much a time may be off.
    """
    distinct = np.unique(times[times > rounding])
    divisor = 0.0
    for time in distinct:
        larger, smaller = float(time), divisor
        while smaller > rounding:
            rest = larger % smaller
            larger, smaller = smaller, 0.0 if smaller - rest <= rounding else rest
        divisor = larger
        if divisor * _MOST_STEPS < distinct[-1]:
            return None
    # Euclid's algorithm adds roundings up: the best value is that of the largest time.
    count = round(distinct[-1] / divisor)
    best = float(distinct[-1] / count)
    return best if bool((np.abs(distinct - np.rint(distinct / best) * best) <= rounding).all()) else None
