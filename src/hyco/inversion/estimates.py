"""From an optimum to estimates: numbers with standard deviations and intervals, fields with maps of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hyco.inversion.identifiability import INTERVAL, Identifiability, identifiability
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.marginal import marginal_information, symmetric_root
from hyco.inversion.uncertainty import Uncertainty, laplace
from hyco.parameters import ParameterSpace
from hyco.parameters.grid_field import GridField

# Half the width of a 95 % interval, in standard deviations.
CONFIDENCE = INTERVAL / 2
# Unknowns whose covariance is computed as a whole; beyond, initial states are taken out of it iteratively, and, where
# the parameters alone are more, their fields too.
LARGEST_DENSE = 2000
# Standard deviations from which on another minimum is another one.
_APART = 3.0
# A number without bounds of which nothing is known gets this many units as its standard deviation.
_UNKNOWN = 1e6


@dataclass(frozen=True)
class Assessment:
    """How sure the current coordinates of the parameters are.

    Attributes:
        uncertainty: of these coordinates, unknown initial states and other fields left free.
        identifiability: what the data alone say of them.
        kept: which coordinates all of this is of, `[p]`: all of the parameters', or, where fields have too many, those
            of numbers alone.
        pull: how far they are from the minimum on real data (and prior) alone, to first order, in standard deviations,
            with sign, `[p]`: about 0 for physics alone; in a hybrid what the network's predictions pull.
    """

    uncertainty: Uncertainty
    identifiability: Identifiability
    kept: Tensor
    pull: Tensor


@torch.no_grad()
def assess(problem: InverseProblem, z: Tensor) -> Assessment:
    """Covariance and identifiability at `[q]`, from the real data (and the prior) alone."""
    z = z.to(problem.device)
    if len(z) > LARGEST_DENSE:
        return _assess_iteratively(problem, z)
    residual, jacobian = (v.cpu() for v in problem.linearised(z))
    noisy = problem.noisy()
    prior = problem.prior_jacobian(z).cpu()
    p = problem.parameters
    whole = laplace(
        jacobian,
        residual,
        prior=prior if len(prior) else None,
        known_noise=problem.known_noise,
        noisy=None if noisy is None else noisy.cpu(),
    )
    uncertainty = Uncertainty(whole.information, whole.covariance[:p, :p], whole.reduced_chi_square)
    # Where σ is only a unit, the residuals tell the noise, and with it what the data determine.
    chi = max(whole.reduced_chi_square, 1e-300) ** 0.5
    data = _without_initial_states(jacobian if problem.known_noise else jacobian / chi, prior, p)
    # The minimum is that of the residuals in units of σ, whatever the noise turns out to be.
    plain = whole if problem.known_noise else laplace(jacobian, residual, prior=prior if len(prior) else None)
    slope = jacobian.T @ residual
    if len(prior):
        slope = slope + prior.T @ problem.prior(z[None])[0].cpu()
    held = _held(z.cpu(), problem.lower, problem.upper, slope)
    step = torch.nan_to_num(plain.covariance, posinf=0.0)[:p] @ torch.where(held, 0.0, slope)
    pull = torch.where(held[:p], 0.0, torch.nan_to_num(step / uncertainty.std, nan=0.0, posinf=0.0, neginf=0.0))
    known = identifiability(data, problem.space.width, problem.space.labels)
    return Assessment(uncertainty, known, torch.arange(p), pull)


def _assess_iteratively(problem: InverseProblem, z: Tensor) -> Assessment:
    """The same without a matrix over all unknowns."""
    space, p = problem.space, problem.parameters
    kept = torch.arange(p) if p <= LARGEST_DENSE else torch.tensor(space.of_numbers)
    found = marginal_information(problem, z, kept)
    root = symmetric_root(found.information.cpu())
    theta = z[:p].clone()
    prior = torch.func.jacfwd(lambda c: space.prior_residuals(theta.index_copy(0, kept.to(z.device), c)))(theta[kept])
    prior = prior.cpu()
    scale = 1.0 if problem.known_noise else max(found.reduced_chi_square, 1e-300) ** 0.5
    if len(prior):
        scale = max(scale, 1.0)
    whole = laplace(root / scale, root.new_zeros(len(kept)), prior=prior if len(prior) else None)
    uncertainty = Uncertainty(whole.information, whole.covariance, found.reduced_chi_square)
    plain = whole if scale == 1 else laplace(root, root.new_zeros(len(kept)), prior=prior if len(prior) else None)
    slope = found.slope.cpu()
    if len(prior):
        slope = slope + prior.T @ space.prior_residuals(theta).cpu()
    held = _held(theta.cpu()[kept], space.lower[kept], space.upper[kept], slope)
    step = torch.nan_to_num(plain.covariance, posinf=0.0) @ torch.where(held, 0.0, slope)
    pull = torch.where(held, 0.0, torch.nan_to_num(step / uncertainty.std, nan=0.0, posinf=0.0, neginf=0.0))
    labels = [space.labels[i] for i in kept.tolist()]
    return Assessment(uncertainty, identifiability(root / scale, space.width[kept], labels), kept, pull)


def _held(z: Tensor, lower: Tensor, upper: Tensor, slope: Tensor) -> Tensor:
    """Which coordinates sit on a bound that they would leave, `[q]`: the bound holds them there."""
    return ((z <= lower) & (slope > 0)) | ((z >= upper) & (slope < 0))


def _without_initial_states(jacobian: Tensor, prior: Tensor, p: int) -> Tensor:
    """What is left of the parameters' columns when the initial states, with their prior, explain what they can."""
    theta, xi = jacobian[:, :p], jacobian[:, p:]
    if xi.shape[1] == 0:
        return theta
    held = prior[(prior[:, :p] == 0).all(dim=1)][:, p:] if len(prior) else prior[:, p:]
    theta, xi = torch.cat([theta, theta.new_zeros((len(held), p))]), torch.cat([xi, held])
    # Padding is never measured: a column of zeros would take a direction of its own out of the measurements.
    xi = xi[:, xi.square().sum(dim=0) > 0]
    Q, _ = torch.linalg.qr(xi)
    rest: Tensor = theta - Q @ (Q.T @ theta)
    return rest


def number_estimates(space: ParameterSpace, z: Tensor, assessment: Assessment | None) -> dict[str, dict[str, Any]]:
    """For each number its `estimate`, `std`, 95 % `interval`, `pull`, and whether data determine it (`identifiable`).

    A number is identifiable if the data alone give a 95 % interval narrower than what was known beforehand (the
    bounds, or the prior's interval), and the estimate does not sit on a bound. Where nothing is known the standard
    deviation is that of a uniform distribution over the bounds. The interval is that of the estimate and of where the
    measurements alone put it, together: in a hybrid it is wider than ± 1.96 std. Without an assessment `std`,
    `interval` and `pull` are None.

    Args:
        z: the parameters' coordinates, `[p]`.
    """
    found = {}
    scalars = {name: scalar for p in space.learnable for name, scalar in p.scalar_parts().items()}
    rows = {} if assessment is None else {int(i): row for row, i in enumerate(assessment.kept)}
    for i, label in enumerate(space.labels):
        numbers = space.numbers(z)
        if label not in numbers:
            continue
        entry: dict[str, Any] = {"estimate": float(numbers[label])}
        if assessment is None:
            found[label] = {**entry, "std": None, "interval": None, "identifiable": False, "pull": None}
            continue
        spread = min(float(assessment.uncertainty.std[rows[i]]), _UNKNOWN)
        moved = z.clone().requires_grad_(True)
        slope = float(torch.autograd.grad(space.numbers(moved)[label], moved)[0][i].abs())
        lower, upper, position = float(space.lower[i]), float(space.upper[i]), float(z[i])
        # The interval reaches to where the measurements alone put the estimate, and as far beyond.
        alone = position - float(assessment.pull[rows[i]]) * spread
        ends = [
            max(lower, min(position, alone) - CONFIDENCE * spread),
            min(upper, max(position, alone) + CONFIDENCE * spread),
        ]
        std = spread * slope
        bounds = scalars[label].bounds
        if bounds is not None:
            std = min(std, (bounds[1] - bounds[0]) / math.sqrt(12))
        inside = lower + 1e-6 < position < upper - 1e-6
        entry["std"] = std
        entry["interval"] = sorted(_at(space, z, i, end, label) for end in ends)
        entry["identifiable"] = bool(inside and assessment.identifiability.determined[rows[i]])
        entry["pull"] = abs(float(assessment.pull[rows[i]]))
        found[label] = entry
    return found


def _at(space: ParameterSpace, z: Tensor, i: int, position: float, label: str) -> float:
    """A number with its coordinate elsewhere."""
    moved = z.clone()
    moved[i] = position
    value = float(space.numbers(moved)[label])
    return value if math.isfinite(value) else math.copysign(1e300, value)


def rivals(
    space: ParameterSpace, z: Tensor, assessment: Assessment, ends: Sequence[Mapping[str, Any]], count: int
) -> list[dict[str, float]]:
    """Other minima that fit as well as the estimate: the numbers of each, one of several alike.

    A search that ended elsewhere (three standard deviations off in some coordinate) is a rival if its χ² is not larger
    by nine, the 99.7 % limit of one unknown.

    Args:
        z: the parameters' coordinates, `[p]`.
        ends: where several searches ended, `{"x": …, "value": …}` with the mean squared residual as value.
        count: number of residuals.
    """
    finite = [end for end in ends if end["value"] is not None]
    if not finite:
        return []
    best = min(end["value"] for end in finite)
    std = torch.nan_to_num(assessment.uncertainty.std, posinf=_UNKNOWN).clamp_min(1e-12)
    places = [z]
    for end in sorted(finite, key=lambda e: float(e["value"])):
        place = torch.tensor(end["x"], dtype=z.dtype)
        apart = all(float(((place - other)[assessment.kept].abs() / std).max()) > _APART for other in places)
        if apart and (end["value"] - best) * count < _APART**2:
            places.append(place)
    return [{name: float(v) for name, v in space.numbers(place).items()} for place in places[1:]]


@dataclass(frozen=True)
class FieldEstimate:
    """A learnt field: `estimate` and `std` `[*space]` (None if not assessed), and whether all of it is determined.

    `pull` is the largest of its coordinates' (see `Assessment`).
    """

    estimate: Tensor
    std: Tensor | None
    identifiable: bool
    pull: float | None


@torch.no_grad()
def field_estimates(space: ParameterSpace, z: Tensor, assessment: Assessment | None) -> dict[str, FieldEstimate]:
    """Each parameter that varies in space, with a map of its standard deviation to first order.

    It is identifiable only if the data determine every direction of it.
    """
    found = {}
    values = space.to_values(z)
    for parameter in space.learnable:
        if not parameter.is_field:
            continue
        part = space.slice_of(parameter.name)
        estimate = values[parameter.name]
        rows = [] if assessment is None else _rows(assessment.kept, part)
        if assessment is None or not rows:
            found[parameter.name] = FieldEstimate(estimate, None, False, None)
            continue
        jacobian = _field_jacobian(space, parameter.name, z).reshape(estimate.numel(), -1)
        covariance = assessment.uncertainty.covariance[rows][:, rows]
        covariance = torch.nan_to_num(covariance, posinf=_UNKNOWN**2)
        std = ((jacobian @ covariance) * jacobian).sum(dim=1).clamp_min(0).sqrt().reshape(estimate.shape)
        if isinstance(parameter, GridField) and parameter.bounds is not None:
            std = std.clamp_max((parameter.bounds[1] - parameter.bounds[0]) / math.sqrt(12))
        directions = assessment.identifiability.directions[:, rows].square().sum(dim=1)
        weak = assessment.identifiability.weak & (directions > 0.1)
        found[parameter.name] = FieldEstimate(
            estimate, std, not bool(weak.any()), float(assessment.pull[rows].abs().max())
        )
    return found


def _rows(kept: Tensor, part: slice) -> list[int]:
    """Where the coordinates of a parameter stand among those that were assessed; none where they were not."""
    found: list[int] = ((kept >= part.start) & (kept < part.stop)).nonzero().flatten().tolist()
    return found


def _field_jacobian(space: ParameterSpace, name: str, z: Tensor) -> Tensor:
    """∂(field)/∂(its coordinates), `[cells, k]`."""
    part = space.slice_of(name)
    parameter = space.learnable[space.names.index(name)]
    found: Tensor = torch.func.jacfwd(lambda c: parameter.value(c, space.grid).flatten())(z[part])
    return found
