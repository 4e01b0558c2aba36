"""What the noise of sensors whose measurements are walls, and their gaps in time, have of an estimate."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from hyco.equations.registry import build_equation
from hyco.inversion.assessment import LARGEST_DENSE
from hyco.inversion.discretisation import values_on
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.uncertainty import Uncertainty
from hyco.inversion.wall_places import Linear
from hyco.stepping.refinement import Refinement

log = logging.getLogger(__name__)

# Draws of the noise: its standard deviation is known to a quarter by then. They are the same in every run.
_DRAWS, _SEED = 8, 0
# A bend of a series is told from noise beyond so many of its standard deviations. Halfway between two times a value is
# unsure by this part of h² |g''|, which a jump has of what is anywhere between two values: 1/√12.
_BENT, _BETWEEN = 2.0, 1 / math.sqrt(12)


@torch.no_grad()
def spread_by_walls(problem: InverseProblem, coordinates: Tensor, uncertainty: Uncertainty) -> Tensor | None:
    """Standard deviations `[p]` of the parameters' coordinates, by the noise of walls of which tables are `measured`.

    With noise like that of the measurements inside, drawn anew, and values halfway between the times that are unsure
    where a table is linear and bends, as it does beside a jump, the residuals differ by Δ, by a rollout for each draw;
    least squares of r + Δ + J δz and the priors' residuals move by δz. Its mean square is the variance, to first order.

    Returns:
        None where there are no such walls, the model has a correction or a coarser grid, or a rollout is not finite.
    """
    data, model = problem.data, problem.forward.model
    section = model.equation.config.model_dump() | model.equation.config.chosen
    if not _measured(section) or len(coordinates) > LARGEST_DENSE or not uncertainty.noise_told:
        return None
    if problem.forward.correction is not None or model.transfer is not None:
        log.info("The noise of sensors at walls is not in intervals of a model with a correction or a coarser grid.")
        return None
    z, p, steps = coordinates[None].to(problem.device), problem.parameter_count, problem.steps
    needed = [n for n in data.needed(steps) if n > 0]
    starts = problem.initial(z)[0]
    here = data.whitened(starts, problem.forward.predict(starts, z[0, :p], steps)[:, [n - 1 for n in needed]], steps, 1)
    level = data.scale * (1.0 if data.known_noise else uncertainty.unit)
    noise = dict(zip(data.observations.layout.channels, (level * data.sigma).flatten().tolist(), strict=True))
    linear, random = Linear.of(problem, coordinates), torch.Generator().manual_seed(_SEED)
    moved = []
    for _ in range(_DRAWS):
        other = Refinement(build_equation(_drawn(section, noise, random)), data.observations.layout, model.equation.dt)
        states = other.rollout(starts, values_on(problem, z[0, :p], other.layout), needed)
        if not bool(torch.isfinite(states).all()):
            log.warning("The noise of sensors at walls is not in the intervals: with it a rollout is not finite.")
            return None
        change = (data.whitened(starts, states, steps, 1) - here)[0].cpu()
        moved.append(linear.step(linear.with_change(change) - linear.residual)[:p])
    return torch.stack(moved).square().mean(dim=0).sqrt()


def _measured(section: Any) -> bool:
    """Whether a wall of a section `equation` is what a sensor measured."""
    if isinstance(section, Mapping):
        return _is_measured(section) or any(map(_measured, section.values()))
    return False


def _is_measured(wall: Mapping[str, Any]) -> bool:
    table = wall.get("table")
    return isinstance(table, Mapping) and bool(table.get("measured"))


def _drawn(section: Mapping[str, Any], noise: Mapping[str, float], random: torch.Generator) -> dict[str, Any]:
    """A section `equation` with noise on the walls that sensors measured.

    Args:
        noise: standard deviation by channel.
    """
    first = next(iter(noise.values()))

    def walls(part: Any, std: float) -> Any:
        if not isinstance(part, Mapping):
            return part
        if not _is_measured(part):
            return {key: walls(value, std) for key, value in part.items()}
        table = part["table"]
        drawn = std * torch.randn(len(table["values"]), generator=random, dtype=torch.float64)
        values = (torch.tensor(table["values"], dtype=torch.float64) + drawn).numpy()
        times = np.asarray(table["times"])
        linear = table.get("interpolation", "linear") == "linear" and len(times) > 2
        unsure = between(times, table["values"], std) if linear else np.zeros(1)
        if unsure.any():
            middle = torch.randn(len(unsure), generator=random, dtype=torch.float64).numpy()
            middle = (values[1:] + values[:-1]) / 2 + unsure * middle
            inside = np.arange(1, len(times))
            values, times = np.insert(values, inside, middle), np.insert(times, inside, (times[1:] + times[:-1]) / 2)
        return {"table": {**table, "times": times.tolist(), "values": values.tolist()}}

    drawn = {**section, "boundary": walls(section.get("boundary"), first)} if "boundary" in section else dict(section)
    if isinstance(fields := section.get("fields"), Mapping):
        drawn["fields"] = {name: walls(field, noise.get(name, first)) for name, field in fields.items()}
    return drawn


def between(times: ArrayLike, values: ArrayLike, std: float) -> NDArray[np.float64]:
    """How unsure a series g is halfway between its n times, `[n - 1]`, as standard deviations.

    That is h² |g''|/√12, g'' the larger one of both ends, where it is told from noise. Of a line through a smooth
    series the error is h² |g''|/8; what jumps between two times may be anywhere between both values.

    Args:
        times, values: of the series, three or more.
        std: of its noise.
    """
    h = np.diff(times)
    bends = np.abs(np.diff(np.diff(values) / h)) / ((h[1:] + h[:-1]) / 2)
    larger = np.maximum(np.append(bends, 0.0), np.insert(bends, 0, 0.0))
    change = h**2 * larger
    return np.where(change > _BENT * math.sqrt(6) * std, _BETWEEN * change, 0.0)
