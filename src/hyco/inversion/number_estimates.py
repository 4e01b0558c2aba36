"""From coordinates to numbers with standard deviations and intervals, and other minima beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from hyco.inversion.assessment import Assessment
from hyco.inversion.estimate import MARGIN, NumberEstimate
from hyco.inversion.limits import Edge, Edges, edge_at
from hyco.inversion.profile_curve import Profile
from hyco.inversion.uncertainty import INTERVAL
from hyco.parameters import ParameterSpace

# Standard deviations from which on another minimum is another one.
_APART = 3.0
# Standard deviation, in coordinates, of a number without bounds of which the data say nothing.
UNKNOWN = 1e6


def number_estimates(
    space: ParameterSpace,
    theta: Tensor,
    assessment: Assessment | None,
    shift: Tensor | None = None,
    *,
    edges: Mapping[str, Edges] = MappingProxyType({}),
    profiles: Mapping[str, Profile] = MappingProxyType({}),
    walls: Tensor | None = None,
) -> dict[str, NumberEstimate]:
    """Each learnt number, with error bars where there is an assessment.

    A number is identifiable if the data alone give a 95 % interval narrower than the prior knowledge (the bounds, or
    the prior's interval), and neither the estimate sits on a bound or the limit of a scheme, nor its profile reaches
    one. On a limit of the equation, beyond which there is no meaning, the width alone decides. Where there is no
    information the standard deviation is that of a uniform distribution over the bounds.

    The interval is that of the estimate and of where the measurements alone put it, together: in a hybrid it is wider
    than ± 1.96 std. Where the noise is not known that is ± t std with Student's t; where no degrees of freedom tell it,
    there are neither standard deviations nor intervals. It ends at the edges of the number's range: at an edge it is
    one-sided. With a profile it reaches as far to both sides as that does, times the doubt about the prior of initial
    states. Where the noise is correlated, std and interval are those of such noise, see
    `hyco.inversion.correlated_noise`.

    With the error of the grid the interval is that of the estimate and of what it would be without, together: it covers
    both, and a quarter more of the shift, which is known to first order only.

    Args:
        theta: the parameters' coordinates, `[p]`.
        shift: what the error of the grid has moved them by, `[p]`; None: not worked out.
        edges: of the numbers' ranges, by full name.
        profiles: of those of the numbers whose profile likelihood was worked out, by full name.
        walls: standard deviations by the noise of walls, `[p]`, which intervals have too; None: there is none.
    """
    estimates = {}
    bounds = {name: number.bounds for p in space.learnable for name, number in p.scalar_parts().items()}
    rows = {} if assessment is None else {int(i): row for row, i in enumerate(assessment.kept)}
    numbers = space.numbers(theta)
    for i, label in enumerate(space.labels):
        if label not in numbers:
            continue
        value, position = float(numbers[label]), float(theta[i])
        own = edges.get(label, (Edge("none"), Edge("none")))
        edge = edge_at(position, float(space.lower[i]), float(space.upper[i]), own)
        limit = None if edge is None else f"sits on {edge.words}"
        if assessment is None or not assessment.uncertainty.noise_told:
            estimates[label] = NumberEstimate(value, limit=limit)
            continue
        half = assessment.uncertainty.quantile
        pull = float(assessment.pull[rows[i]])
        spread = min(float(assessment.uncertainty.std[rows[i]]), UNKNOWN)
        moved = theta.clone().requires_grad_(True)
        slope = float(torch.autograd.grad(space.numbers(moved)[label], moved)[0][i].abs())
        profile = profiles.get(label)
        # The interval reaches to where the measurements alone put the estimate, and as far beyond.
        alone, reach = position - pull * spread, (half * spread, half * spread)
        if profile is not None:
            alone = profile.centre
            # It is that of one prior of the initial states.
            doubt = 1.0 if assessment.doubt is None else float(assessment.doubt[rows[i]])
            reach = doubt * (alone - profile.ends[0]), doubt * (profile.ends[1] - alone)
        of_walls = 0.0 if walls is None else float(walls[i])
        reach = math.hypot(reach[0], INTERVAL / 2 * of_walls), math.hypot(reach[1], INTERVAL / 2 * of_walls)
        moved_by = 0.0 if shift is None else float(shift[i])
        places = (position, alone, position - MARGIN * moved_by)
        ends = [
            max(float(space.lower[i]), min(places) - reach[0]),
            min(float(space.upper[i]), max(places) + reach[1]),
        ]
        limits = bounds[label]
        widest = math.inf if limits is None else (limits[1] - limits[0]) / math.sqrt(12)
        std = min(spread * slope, widest)
        white = None if assessment.white is None else min(float(assessment.white[rows[i]]), UNKNOWN) * slope
        first, last = sorted(_number_at(space, theta, i, end, label) for end in ends)
        if edge is None and (reached := _reached(space, i, ends, own)):
            limit = "its interval reaches " + " and ".join(e.words for e in reached)
        told = edge is None or edge.kind == "equation"
        if profile is not None:
            told = told and not any(e.searchable for e in _reached(space, i, profile.ends, own))
            told = told and sum(reach) < float(space.width[i])
        estimates[label] = NumberEstimate(
            value,
            std,
            (first, last),
            identifiable=bool(told and assessment.identifiability.determined[rows[i]]),
            pull=abs(pull),
            discretisation=None if shift is None else value - _number_at(space, theta, i, position - moved_by, label),
            limit=limit,
            profile=None if profile is None else _curve(space, theta, i, label, profile),
            std_white=None if white is None else min(white, widest),
            std_walls=None if walls is None else of_walls * slope,
        )
    return estimates


def _reached(space: ParameterSpace, i: int, ends: Sequence[float], edges: Edges) -> list[Edge]:
    """The edges of a number's range that an interval of its coordinate reaches."""
    at = [edge_at(end, float(space.lower[i]), float(space.upper[i]), edges) for end in ends]
    return [edge for edge in at if edge is not None]


def _curve(space: ParameterSpace, theta: Tensor, i: int, label: str, profile: Profile) -> dict[str, list[float | None]]:
    """A profile in units of the number; a rise that is not finite is None."""
    rows = [(_number_at(space, theta, i, z, label), rise) for z, rise in profile.points.tolist()]
    return {
        "values": [value for value, _ in sorted(rows)],
        "chi_square": [rise if math.isfinite(rise) else None for _, rise in sorted(rows)],
    }


def _number_at(space: ParameterSpace, theta: Tensor, i: int, position: float, label: str) -> float:
    """A number with its coordinate elsewhere."""
    moved = theta.clone()
    moved[i] = position
    value = float(space.numbers(moved)[label])
    return value if math.isfinite(value) else math.copysign(1e300, value)


def alternative_minima(
    theta: Tensor, assessment: Assessment, ends: Sequence[Mapping[str, Any]], count: int
) -> list[Tensor]:
    """Coordinates `[p]` of other minima that fit as well as the estimate, one of several alike.

    A search that ended elsewhere (three standard deviations off in some coordinate) is one if its χ², in units of the
    noise that is known or that the residuals tell, is not larger by nine, the 99.7 % limit of one unknown.

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
    places, unit = [theta], assessment.uncertainty.unit**2 / count
    for end in sorted(finite, key=lambda e: float(e["value"])):
        place = torch.tensor(end["x"], dtype=theta.dtype)
        apart = all(float(((place - other)[assessment.kept].abs() / std).max()) > _APART for other in places)
        if apart and (end["value"] - best) / unit < _APART**2:
            places.append(place)
    return places[1:]
