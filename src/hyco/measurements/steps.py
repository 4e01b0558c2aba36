"""Times as states of a trajectory, which are `dt` apart, and what is left between them."""

from __future__ import annotations

import logging
import math

import numpy as np
from numpy.typing import NDArray

from hyco.measurements.columns import Numbers
from hyco.measurements.rows import Rows
from hyco.observations.checks import MeasurementError
from hyco.observations.time_interpolation import NODES

log = logging.getLogger(__name__)

# Part of dt that a time may be off.
_TOLERANCE = 1e-6
# A common divisor that needs more steps than this is rounding.
_MOST_STEPS = 100_000

# More steps than this are none.
_LARGEST = 2**53


def steps_of(rows: Rows, name: str, dt: float) -> tuple[NDArray[np.int64], Numbers]:
    """The state that each measurement is of or before, `[n]`, and the steps from there to it, in (-1, 0].

    State 0 is that at t = 0. A time that is off a state by a millionth of dt, or by its rounding, is at the state.

    Raises:
        MeasurementError: a time is before the start.
    """
    tolerance = _tolerance(rows, dt)
    early = np.flatnonzero(rows.time < -tolerance)
    if len(early):
        raise MeasurementError(
            f"{name}, {rows.place(early[0])}: this is {-rows.time[early[0]]:.10g} before start, the time of t = 0; "
            f"leave out such measurements or change start ({len(early)} such)"
        )
    at_state, place = _at_states(rows, dt), rows.time / dt
    if len(place) and place.max() > _LARGEST:
        last = int(place.argmax())
        raise MeasurementError(
            f"{name}, {rows.place(last)}: t = {rows.time[last]:.10g} after the start is {place[last]:g} steps of dt: "
            "is scale.time right?"
        )
    steps = np.where(at_state, np.rint(place), np.ceil(place))
    return steps.astype(np.int64), np.where(at_state, 0.0, place - steps)


def last_step(last: float, dt: float, rounding: float) -> int:
    """Number of the state that a measurement at the last time `last` is of or before, by the rule of `steps_of`."""
    nearest = round(last / dt)
    at_state = abs(last - nearest * dt) <= _TOLERANCE * dt + rounding
    return max(1, nearest if at_state else math.ceil(last / dt))


def _tolerance(rows: Rows, dt: float) -> float:
    return _TOLERANCE * dt + rows.time_rounding


def _at_states(rows: Rows, dt: float) -> NDArray[np.bool_]:
    off = np.abs(rows.time - np.rint(rows.time / dt) * dt)
    return np.asarray(off <= _tolerance(rows, dt))


def tell_of_times_between(file: str, rows: Rows, offsets: Numbers, dt: float, last: int) -> None:
    """Log how many measurements are between states, and warn where there are too few states around them."""
    between = int(np.count_nonzero(offsets))
    if not between:
        return
    divisor = common_divisor(rows.time, rounding_of(rows.time, rows.time_rounding))
    if divisor is not None and not _at_states(rows, divisor).all():
        divisor = None
    log.info(
        "%s: %d of %d measurements are between states, which are read by cubic interpolation in time%s.",
        file,
        between,
        len(offsets),
        "" if divisor is None else f"; with equation.dt: {divisor:.10g} all would be at states",
    )
    if last < NODES:
        log.warning(
            "%s: the measurements end after %d step(s) of equation.dt = %g: too few states to read times between them "
            "well. Make equation.dt smaller (%g, for instance).",
            file,
            last,
            dt,
            float(rows.time.max()) / 20,
        )


def rounding_of(times: Numbers, written: float) -> float:
    """By how much times may be off: what rounding as they are `written` leaves, or a millionth of the largest."""
    return max(written, _TOLERANCE * float(np.abs(times).max()))


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
