"""What an estimate would be if the walls beyond scattered sensors were where the measurements put them."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation
from hyco.inversion.discretisation import values_on
from hyco.inversion.inverse_problem import InverseProblem
from hyco.stepping.refinement import Refinement
from hyco.walls.boundary import AxisWalls
from hyco.walls.table import Table

log = logging.getLogger(__name__)

# By this part of a cell a wall is moved, outwards, to see what that does.
_PART = 0.5


def moved_ends(problem: InverseProblem) -> list[tuple[int, int]]:
    """Axes, and their ends (0 lower, 1 upper), whose walls are beyond the outermost sensors of a file.

    Where a sensor is at a wall, or a series measured there, somebody knows where that is.
    """
    seen, model = problem.data.observations, problem.forward.model
    grid, periodic = seen.layout.grid, seen.layout.periodic
    if not seen.from_file or seen.positions is None or model.transfer is not None:
        return []
    fields = seen.layout.fields
    series = {(i, end) for i, axis in enumerate(grid.axes) for field in fields for end in _series(field.walls[axis])}
    found = [(i, end) for i, n in enumerate(grid.resolution) if not periodic[i] and n > 1 for end in (0, 1)]
    found = [each for each in found if each not in series]
    return [(i, end) for i, end in found if room(problem, i, end) > 1e-6 * grid.spacing[i]]


def _series(walls: AxisWalls) -> list[int]:
    """The ends whose walls have values of a table."""
    return [end for end, wall in enumerate((walls.lower, walls.upper)) if isinstance(wall, Table)]


def room(problem: InverseProblem, i: int, end: int) -> float:
    """Between the wall at an end of axis i and the outermost sensor there."""
    data, grid = problem.data, problem.data.observations.layout.grid
    if (positions := data.observations.positions) is None:
        return 0.0
    measured = data.mask.any(dim=2).cpu()
    places = positions[data.observations.train][:, data.times][measured][:, i]
    wall = grid.lower[i] + end * grid.size[i]
    return float((places - wall).abs().min()) if len(places) else 0.0


def change_by_wall(problem: InverseProblem, coordinates: Tensor, i: int, end: int) -> Tensor | None:
    """∂r/∂ε `[N]` of the data's residuals: ε is how far the wall at an end of axis i is moved outwards, in its units.

    By one rollout on a domain that is larger by half a cell's width, with as many cells and the same steps.

    Returns:
        None where the equation cannot be on that domain, or the rollout is not finite.
    """
    data, own = problem.data, problem.forward.model.equation
    z, p, steps = coordinates[None].to(problem.device), problem.parameter_count, problem.steps
    needed = [n for n in data.needed(steps) if n > 0]
    far = _PART * data.observations.layout.grid.spacing[i]
    try:
        other = _on_larger(own, i, end, far)
    except ValueError as error:
        log.info("The places of the walls are not looked at: %s.", error)
        return None
    starts = problem.initial(z)[0]
    states = problem.forward.predict(starts, z[0, :p], steps)[:, [n - 1 for n in needed]]
    moved = Refinement(other, data.observations.layout, own.dt)
    there = moved.rollout(starts, values_on(problem, z[0, :p], other.layout), needed)
    if not bool(torch.isfinite(there).all()):
        return None
    here = data.whitened(starts, states, steps, 1)[0]
    begun = moved.prolong(starts)
    return (data.on_layout(moved.layout).whitened(begun, there, steps, 1)[0] - here).cpu() / far


def larger(domain: dict[str, Any], axis: str, end: int, far: float) -> dict[str, Any]:
    """A domain with the wall at an end of an axis moved outwards."""
    keys = domain[axis]
    moved = {**keys, "lower": keys["lower"] - (far if end == 0 else 0.0), "size": keys["size"] + far}
    return {**domain, axis: moved}


def _on_larger(equation: Equation, i: int, end: int, far: float) -> Equation:
    """The equation by the same scheme, with the same ranges and steps, on a larger domain.

    Raises:
        ValueError: it has values on walls, or cannot be on such a domain.
    """
    if any(field.vertex for field in equation.layout.fields):
        raise ValueError("it has values on walls")
    section = equation.config.model_dump() | equation.config.chosen
    section["domain"] = larger(section["domain"], equation.config.grid.axes[i], end, far)
    return build_equation(section)
