"""How many cells measurements deserve: what the grid does to the estimate, at the first guess."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from hyco.config import Configuration
from hyco.equations.equation import Equation
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.discretisation import discretisation_change, discretisation_shift
from hyco.observations import Observations

# More unknowns, of initial states above all, take longer than a look may.
_MOST_UNKNOWNS = 64
# Values of cells in all steps of all rollouts; beyond it a look would take minutes.
_MOST_WORK = 2e9
# Of a standard deviation, what the grid may do to a number.
_SMALL = 0.5


def grid_words(c: Configuration, equation: Equation, observations: Observations) -> Iterator[str]:
    """What the error of grid and time step would be in units of the noise's standard deviation, and the cells to take.

    By the measurements' noise, the Jacobian and one rollout on a finer grid, all at the first guess. Nothing is said
    where the noise is not known, of more than 64 unknowns, or where it would take minutes.

    Args:
        equation: that of the data.
    """
    steps = min(c.physical.num_predict_steps, observations.steps)
    device = torch.device("cpu")
    trainer = Calibrator(equation, observations, c.physical, num_predict_steps=steps, device=device)
    problem, z = trainer.problem, trainer.model.coordinates
    own = problem.forward.model.equation
    rollouts = (len(z) + 1 + 2 ** (own.layout.grid.dimensions + 1)) * len(problem.starts)
    work = rollouts * steps * own.substeps * own.layout.grid.cells * len(own.layout.channels)
    if not problem.data.known_noise or len(z) > _MOST_UNKNOWNS or problem.forward.space.undecided or work > _MOST_WORK:
        return
    trainer.model.assessor.assess(z)
    assessment, shift = trainer.model.assessment, discretisation_shift(problem, z, discretisation_change(problem, z))
    if assessment is None or shift is None:
        return
    times = (shift.abs() / assessment.uncertainty.std).nan_to_num(0.0)
    worst = int(times.argmax())
    largest, label = float(times[worst]), problem.forward.space.labels[worst]
    finer = (largest / _SMALL) ** (1 / own.config.convergence_order)
    cells = [math.ceil(finer * n) for n in own.layout.grid.resolution]
    here = " × ".join(map(str, own.layout.grid.resolution))
    said = f"at the first guess the error of {here} cells is {largest:.2g} standard deviations in {label}"
    if largest <= _SMALL:
        yield f"grid:      {said}: they are enough"
    else:
        yield f"grid:      {said}; about {' × '.join(map(str, cells))} cells would make it half of one"
