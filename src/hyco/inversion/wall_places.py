"""What an estimate would be if the walls were elsewhere: at the outermost cells' centres, or farther beyond sensors."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from hyco.inversion.assessment import LARGEST_DENSE
from hyco.inversion.discretisation import values_on
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.loss import Huber
from hyco.inversion.uncertainty import Uncertainty, inverse_root
from hyco.inversion.walls_beyond_sensors import change_by_wall, larger, moved_ends, room
from hyco.stepping.refinement import Refinement, on_domain

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OtherWalls:
    """The fit with the walls elsewhere, to first order.

    Attributes:
        domain: `lower` and `size` of each axis that has walls: at the outermost measured positions, or where the
            measurements put them.
        numbers: the learnt numbers then, by full name.
        chi_square: by how much χ² would be larger, noise as large as the residuals are; negative: the fit is better.
        cells: by so many cells' widths measurements at scattered sensors move a wall, at most; None: they are of cells.
    """

    domain: dict[str, dict[str, float]]
    numbers: dict[str, float]
    chi_square: float
    cells: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Linear:
    """Least squares of the residuals and priors of a fit, whose residuals are known elsewhere.

    Attributes:
        residual: of data and priors, `[N]`.
        system: their Jacobian, `[N, q]`.
        count: of the data.
    """

    residual: Tensor
    system: Tensor
    count: int

    @classmethod
    def of(cls, problem: InverseProblem, coordinates: Tensor) -> Linear:
        """That of a problem at coordinates `[q]`."""
        linear = problem.linearised(coordinates)
        (residual, jacobian), (prior_residual, prior) = linear.dense(), linear.prior()
        system = torch.cat([jacobian, prior]).cpu()
        return cls(torch.cat([residual, prior_residual]).cpu(), system, len(residual))

    def with_change(self, change: Tensor) -> Tensor:
        """The residuals `[N]` with others of the data."""
        return torch.cat([self.residual[: self.count] + change, self.residual[self.count :]])

    @cached_property
    def _inverse(self) -> Tensor:
        return inverse_root(self.system)[0]

    def step(self, rest: Tensor) -> Tensor:
        """What the unknowns `[q]` have of residuals."""
        return self._inverse @ (self._inverse.T @ (self.system.T @ rest))

    def left(self, rest: Tensor) -> Tensor:
        """What they leave of them."""
        return rest - self.system @ self.step(rest)


@torch.no_grad()
def other_walls(problem: InverseProblem, coordinates: Tensor, uncertainty: Uncertainty) -> OtherWalls | None:
    """The fit `[q]` with the walls elsewhere, by rollouts there and the Jacobian.

    Who writes a domain for positions of a file on a grid takes them for the centres of cells, as this program does; but
    they may as well be nodes of which the outermost are on the walls, which moves these by half a cell. With the change
    Δ = (H u - H u')/σ of what is measured, by a rollout u' on the smaller domain, least squares of r - Δ + J δz and the
    priors' residuals give the other estimate, and what they leave its χ².

    Who writes one for scattered sensors often does not know where the walls are. There r + J δz + W ε is least, with
    the places ε of the walls that are beyond the outermost sensors among the unknowns, and W = ∂r/∂ε by a rollout for
    each: so far the measurements would move the walls, to first order.

    Returns:
        None unless measurements of a file are in the centres of cells, those beside walls among them, or at sensors
        that have walls beyond; of a robust loss, or where the rollout is not finite.
    """
    domain, ends = _domain(problem), moved_ends(problem)
    if not (domain or ends) or problem.forward.correction is not None or len(coordinates) > LARGEST_DENSE:
        return None
    if isinstance(problem.loss, Huber):  # which takes what is wrong at walls for outliers
        return None
    level = uncertainty.reduced_chi_square
    level = max(level, 1.0) if problem.data.known_noise else level
    if level <= 0:
        return None
    if domain:
        change = _change(problem, coordinates, domain)
        return None if change is None else _other(problem, coordinates, domain, change, level)
    return _beyond_sensors(problem, coordinates, ends, level)


def _other(
    problem: InverseProblem, coordinates: Tensor, domain: dict[str, dict[str, float]], change: Tensor, level: float
) -> OtherWalls:
    """The fit where the data's residuals are others by a change `[N]`."""
    linear, p, space = Linear.of(problem, coordinates), problem.parameter_count, problem.forward.space
    after = linear.with_change(change)
    theta = coordinates[:p].cpu() - linear.step(after - linear.residual)[:p]
    theta = torch.minimum(torch.maximum(theta, space.lower.cpu()), space.upper.cpu())
    numbers = {name: float(value) for name, value in space.numbers(theta).items()}
    rise = float(linear.left(after).square().sum() - linear.left(linear.residual).square().sum())
    return OtherWalls(domain, numbers, rise / level)


def _beyond_sensors(
    problem: InverseProblem, coordinates: Tensor, ends: list[tuple[int, int]], level: float
) -> OtherWalls | None:
    """The fit with the walls where the measurements put them, none closer than the outermost sensors."""
    changes = [change_by_wall(problem, coordinates, i, end) for i, end in ends]
    known = [change for change in changes if change is not None]
    if len(known) < len(ends):
        return None
    walls, linear = torch.stack(known, dim=1), Linear.of(problem, coordinates)
    columns = linear.left(torch.cat([walls, walls.new_zeros((len(linear.residual) - linear.count, len(ends)))]))
    grid = problem.data.observations.layout.grid
    # A wall that hardly matters stays where it is, as if that were known to the size of the domain.
    known_to = torch.tensor([level**0.5 / grid.size[i] for i, _ in ends], dtype=walls.dtype)
    system, rest = torch.cat([columns, known_to.diag()]), linear.left(linear.residual)
    far = -torch.linalg.lstsq(system, torch.cat([rest, rest.new_zeros(len(ends))])[:, None]).solution[:, 0]
    far = torch.maximum(far, -torch.tensor([room(problem, i, end) for i, end in ends], dtype=far.dtype))
    names = grid.axes
    whole = dict(problem.forward.model.equation.config.model_dump()["domain"])
    for (i, end), moved in zip(ends, far.tolist(), strict=True):
        whole = larger(whole, names[i], end, moved)
    domain = {names[i]: {key: float(whole[names[i]][key]) for key in ("lower", "size")} for i, _ in ends}
    cells = max(abs(moved) / grid.spacing[i] for (i, _), moved in zip(ends, far.tolist(), strict=True))
    return replace(_other(problem, coordinates, domain, walls @ far, level), cells=cells)


def _change(problem: InverseProblem, coordinates: Tensor, domain: dict[str, dict[str, float]]) -> Tensor | None:
    """What the data's residuals `[N]` change by on a domain; None where the equation cannot be there."""
    p, steps, own = problem.parameter_count, problem.steps, problem.forward.model.equation
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
    return (problem.data.whitened(starts, there, steps, 1)[0] - here).cpu()


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
