"""What an estimate would be if the walls were at the outermost measured cells' centres, not half a cell beyond."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from hyco.inversion.assessment import LARGEST_DENSE
from hyco.inversion.discretisation import values_on
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.loss import Huber
from hyco.inversion.uncertainty import Uncertainty, inverse_root
from hyco.stepping.refinement import Refinement, on_domain

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OtherWalls:
    """The fit with the walls at the outermost measured positions, to first order.

    Attributes:
        domain: `lower` and `size` of each axis that has walls.
        numbers: the learnt numbers then, by full name.
        chi_square: by how much χ² would be larger, noise as large as the residuals are; negative: the fit is better.
    """

    domain: dict[str, dict[str, float]]
    numbers: dict[str, float]
    chi_square: float

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@torch.no_grad()
def other_walls(problem: InverseProblem, coordinates: Tensor, uncertainty: Uncertainty) -> OtherWalls | None:
    """The fit `[q]` with the walls at the outermost measured positions, by one rollout there and the Jacobian.

    Who writes a domain for positions of a file on a grid takes them for the centres of cells, as this program does; but
    they may as well be nodes of which the outermost are on the walls, which moves these by half a cell. With the change
    Δ = (H u - H u')/σ of what is measured, by a rollout u' on the smaller domain, least squares of r - Δ + J δz and the
    priors' residuals give the other estimate, and what they leave its χ².

    Returns:
        None unless measurements of a file are in the centres of cells, those beside walls among them; of a robust loss,
        or where the rollout is not finite.
    """
    domain = _domain(problem)
    p, steps, own = problem.parameter_count, problem.steps, problem.forward.model.equation
    if not domain or problem.forward.correction is not None or len(coordinates) > LARGEST_DENSE:
        return None
    if isinstance(problem.loss, Huber):  # which takes what is wrong at walls for outliers
        return None
    z = coordinates[None].to(problem.device)
    needed = [n for n in problem.data.needed(steps) if n > 0]
    starts = problem.initial(z)[0]
    states = problem.forward.predict(starts, z[0, :p], steps)
    reach = own.reach(torch.cat([starts[:, None], states], dim=1))
    try:
        other = on_domain(own, domain, reach, problem.forward.space.to_values(z[0, :p]))
    except ValueError as error:
        log.info("The places of the walls are not looked at: %s.", error)
        return None
    moved = Refinement(other, problem.data.observations.layout, own.dt)
    there = moved.restrict(moved.rollout(starts, values_on(problem, z[0, :p], other.layout), needed))
    if not bool(torch.isfinite(there).all()):
        return None
    here = problem.data.whitened(starts, states[:, [n - 1 for n in needed]], steps, 1)[0]
    change = (here - problem.data.whitened(starts, there, steps, 1)[0]).cpu()
    linear = problem.linearised(coordinates)
    (residual, jacobian), (prior_residual, prior) = linear.dense(), linear.prior()
    system = torch.cat([jacobian, prior]).cpu()
    inverse, _ = inverse_root(system)
    before = torch.cat([residual, prior_residual]).cpu()
    after = torch.cat([residual.cpu() - change, prior_residual.cpu()])

    def step(rest: Tensor) -> Tensor:
        return inverse @ (inverse.T @ (system.T @ rest))

    def left(rest: Tensor) -> float:
        return float((rest - system @ step(rest)).square().sum())

    level = uncertainty.reduced_chi_square
    level = max(level, 1.0) if problem.data.known_noise else level
    theta = coordinates[:p].cpu() - step(after - before)[:p]
    space = problem.forward.space
    theta = torch.minimum(torch.maximum(theta, space.lower.cpu()), space.upper.cpu())
    numbers = {name: float(value) for name, value in space.numbers(theta).items()}
    return OtherWalls(domain, numbers, (left(after) - left(before)) / level) if level > 0 else None


def _domain(problem: InverseProblem) -> dict[str, dict[str, float]]:
    """`lower` and `size` between the outermost centres, of axes with walls beside which cells were measured."""
    seen, model = problem.data.observations, problem.forward.model
    layout, grid = seen.layout, seen.layout.grid
    if not seen.from_file or not seen.on_grid or model.transfer is not None or layout.shape != grid.resolution:
        return {}
    measured = problem.data.mask.flatten(0, 2).any(dim=0)
    found = {}
    for i, axis in enumerate(grid.axes):
        ends = [bool(measured.select(i, at).any()) for at in (0, -1)]
        if not layout.periodic[i] and all(ends) and grid.resolution[i] > 1:
            h = grid.spacing[i]
            lower = round((grid.lower[i] + h / 2) / h, 6) * h  # without errors of rounding, where it is 0
            found[axis] = {"lower": lower, "size": grid.size[i] - h}
    return found
