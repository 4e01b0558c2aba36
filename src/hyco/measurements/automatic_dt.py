"""`equation.dt: auto`: the time between two states, chosen by the times of the measurements alone."""

from __future__ import annotations

import math

import numpy as np

from hyco.measurements.columns import Numbers
from hyco.measurements.steps import common_divisor, rounding_of
from hyco.observations.checks import MeasurementError

# Steps of a trajectory whose states are at all times: fewer are cut, and more are not worth it.
_FEWEST, _MOST = 20, 500
# Steps of one whose states are not, and how many for each time that there is.
_FEWEST_BETWEEN, _MOST_BETWEEN, _FOR_EACH = 50, 400, 4


def automatic_dt(times: Numbers) -> float:
    """The time between two states for measurements at times since t = 0, `[n]`.

    - Where all times are multiples of one number, 500 at most, dt is that number, or a half, a third, … of it, so that
      there are at least 20 steps: all measurements are then at states, and nothing is interpolated.
    - Elsewhere the time of the last measurement is cut into four steps for each distinct time, 50 at least and 400 at
      most. What the times resolve is read almost exactly then: the error of a cubic is 4⁴ = 256 times smaller than it
      would be with states at the measurements' own distance. Few times say nothing of how fast the state changes, so
      that there are steps enough for a smooth one; very many would cost more than they tell.
    - A static problem has no times, `[0]`, and any dt will do: 1.

    Whether it is small enough shows when a model has been fitted, which then warns of it.

    Raises:
        MeasurementError: no time is after t = 0.
    """
    if not len(times):
        return 1.0
    last = float(times.max())
    if not last > 0:
        raise MeasurementError("nothing was measured after t = 0, so that equation.dt cannot be chosen by the times")
    rounding = rounding_of(times, 0.0)
    divisor = common_divisor(times, rounding)
    if divisor is not None and (steps := round(last / divisor)) <= _MOST:
        return divisor / math.ceil(_FEWEST / steps)
    distinct = len(np.unique(np.rint(times[times > rounding] / rounding)))
    return last / min(max(_FOR_EACH * distinct, _FEWEST_BETWEEN), _MOST_BETWEEN)
