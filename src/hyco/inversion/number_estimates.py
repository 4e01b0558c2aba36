"""From coordinates to numbers with standard deviations and intervals, and other minima beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hyco.inversion.assessment import Assessment
from hyco.inversion.estimate import NumberEstimate
from hyco.parameters import ParameterSpace

# Of the shift that a finer grid predicts, which is not exact, the interval covers so much.
_MARGIN = 1.25
# Standard deviations from which on another minimum is another one.
_APART = 3.0
# Standard deviation, in coordinates, of a number without bounds of which the data say nothing.
UNKNOWN = 1e6


def number_estimates(
    space: ParameterSpace, theta: Tensor, assessment: Assessment | None, shift: Tensor | None = None
) -> dict[str, NumberEstimate]:
    """Each learnt number, with error bars where there is an assessment.

    A number is identifiable if the data alone give a 95 % interval narrower than the prior knowledge (the bounds, or
    the prior's interval), and the estimate does not sit on a bound. Where there is no information the standard
    deviation is that of a uniform distribution over the bounds. The interval is that of the estimate and of where the
    measurements alone put it, together: in a hybrid it is wider than ± 1.96 std. Where the noise is not known that is
    ± t std with Student's t; where no degrees of freedom tell it, there are neither standard deviations nor intervals.
    Where the noise is correlated, std and interval are those of such noise, see `hyco.inversion.correlated_noise`.

    With the error of the grid the interval is that of the estimate and of what it would be without, together: it covers
    both, and a quarter more of the shift, which is known to first order only.

    Args:
        theta: the parameters' coordinates, `[p]`.
        shift: what the error of the grid has moved them by, `[p]`; None: not worked out.
    """
    estimates = {}
    bounds = {name: number.bounds for p in space.learnable for name, number in p.scalar_parts().items()}
    rows = {} if assessment is None else {int(i): row for row, i in enumerate(assessment.kept)}
    numbers = space.numbers(theta)
    for i, label in enumerate(space.labels):
        if label not in numbers:
            continue
        value = float(numbers[label])
        if assessment is None or not assessment.uncertainty.noise_told:
            estimates[label] = NumberEstimate(value)
            continue
        half = assessment.uncertainty.quantile
        pull = float(assessment.pull[rows[i]])
        spread = min(float(assessment.uncertainty.std[rows[i]]), UNKNOWN)
        moved = theta.clone().requires_grad_(True)
        slope = float(torch.autograd.grad(space.numbers(moved)[label], moved)[0][i].abs())
        lower, upper, position = float(space.lower[i]), float(space.upper[i]), float(theta[i])
        # The interval reaches to where the measurements alone put the estimate, and as far beyond.
        alone = position - pull * spread
        moved_by = 0.0 if shift is None else float(shift[i])
        places = (position, alone, position - _MARGIN * moved_by)
        ends = [max(lower, min(places) - half * spread), min(upper, max(places) + half * spread)]
        limits = bounds[label]
        widest = math.inf if limits is None else (limits[1] - limits[0]) / math.sqrt(12)
        std = min(spread * slope, widest)
        white = None if assessment.white is None else min(float(assessment.white[rows[i]]), UNKNOWN) * slope
        inside = lower + 1e-6 < position < upper - 1e-6
        first, last = sorted(_number_at(space, theta, i, end, label) for end in ends)
        estimates[label] = NumberEstimate(
            value,
            std,
            (first, last),
            identifiable=bool(inside and assessment.identifiability.determined[rows[i]]),
            pull=abs(pull),
            discretisation=None if shift is None else value - _number_at(space, theta, i, position - moved_by, label),
            std_white=None if white is None else min(white, widest),
        )
    return estimates


def _number_at(space: ParameterSpace, theta: Tensor, i: int, position: float, label: str) -> float:
    """A number with its coordinate elsewhere."""
    moved = theta.clone()
    moved[i] = position
    value = float(space.numbers(moved)[label])
    return value if math.isfinite(value) else math.copysign(1e300, value)


def alternative_minima(
    space: ParameterSpace, theta: Tensor, assessment: Assessment, ends: Sequence[Mapping[str, Any]], count: int
) -> list[dict[str, float]]:
    """Other minima that fit as well as the estimate: the numbers of each, one of several alike.

    A search that ended elsewhere (three standard deviations off in some coordinate) is one if its χ² is not larger by
    nine, the 99.7 % limit of one unknown.

    Args:
        theta: the parameters' coordinates, `[p]`.
        ends: where several searches ended, `{"x": …, "value": …}` with the mean squared residual as value.
        count: number of residuals.
    """
    finite = [end for end in ends if end["value"] is not None]
    if not finite:
        return []
    best = min(end["value"] for end in finite)
    std = torch.nan_to_num(assessment.uncertainty.std, posinf=UNKNOWN).clamp_min(1e-12)
    places = [theta]
    for end in sorted(finite, key=lambda e: float(e["value"])):
        place = torch.tensor(end["x"], dtype=theta.dtype)
        apart = all(float(((place - other)[assessment.kept].abs() / std).max()) > _APART for other in places)
        if apart and (end["value"] - best) * count < _APART**2:
            places.append(place)
    return [{name: float(v) for name, v in space.numbers(place).items()} for place in places[1:]]
