"""What the grid and the time step of the physical model do to an estimate, by one rollout on a finer grid."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from hyco.fields import Layout
from hyco.inversion.assessment import LARGEST_DENSE
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.marginal import least_squares
from hyco.inversion.uncertainty import inverse_root
from hyco.parameters.grid_field import GridField
from hyco.stepping.refinement import Refinement, refined

log = logging.getLogger(__name__)


@torch.no_grad()
def discretisation_shift(problem: InverseProblem, coordinates: Tensor, change: Tensor | None) -> Tensor | None:
    """How far the parameters' coordinates `[p]` are from where a grid without error would put them, to first order.

    Without the error Δ of the grid the residuals would be smaller by it, which moves the minimum by
    -(JᵀJ + PᵀP)⁻¹ Jᵀ Δ, with the Jacobians J of the data's residuals and P of the priors', unknown initial states among
    the unknowns.

    Args:
        change: Δ, see `discretisation_change`; None: there is no shift either.
    """
    return None if change is None else -_projected(problem, coordinates, change)


@torch.no_grad()
def discretisation_change(problem: InverseProblem, coordinates: Tensor) -> Tensor | None:
    """What the error of the grid has of the residuals of the real data, `[N]`.

    Once more the estimate is rolled out with twice as many cells along each axis and half the time step. What is
    measured then is H u', and (H u - H u')/σ the error but for what the finer grid itself still has of it: with order p
    in both, it is 1/(1 - 2⁻ᵖ) times as large (Richardson). Measurements between cells are read on the finer grid too. A
    model whose grid is coarser than the data's has twice the cells of its own; it starts from the data's states there,
    and is read as they are.

    Returns:
        The error; None where the equation has no finer grid, which is logged.

    Source: L. F. Richardson, Phil. Trans. R. Soc. A 210 (1911) 307, doi:10.1098/rsta.1911.0009.
    """
    z = coordinates[None].to(problem.device)
    p, steps, model = problem.parameter_count, problem.steps, problem.forward.model
    own = model.equation
    needed = [n for n in problem.data.needed(steps) if n > 0]
    corrected = problem.forward.correction is not None and problem.forward.correction.active
    if corrected or not needed:
        log.info("The discretisation error is worked out for models without correction.")
        return None
    starts = problem.initial(z)[0]
    states = problem.forward.predict(starts, z[0, :p], steps)
    seen = torch.cat([starts[:, None], states], dim=1)
    reach = own.reach(seen if model.transfer is None else model.transfer.restrict(seen))
    try:
        finer = refined(own, reach, problem.forward.space.to_values(z[0, :p]))
    except ValueError as error:
        log.warning("The discretisation error is not worked out: %s.", error)
        return None
    refinement = Refinement(finer, problem.data.observations.layout, own.dt)
    there = refinement.rollout(starts, values_on(problem, z[0, :p], finer.layout), needed)
    if not bool(torch.isfinite(there).all()):
        log.warning("The discretisation error is not worked out: on a finer grid the rollout is not finite.")
        return None
    here = problem.data.whitened(starts, states[:, [n - 1 for n in needed]], steps, 1)[0]
    change = here - _measured(problem, refinement, starts, there, steps)
    whole: Tensor = change / (1 - 2.0**-own.config.convergence_order)
    return whole


def values_on(problem: InverseProblem, theta: Tensor, layout: Layout) -> dict[str, Tensor]:
    """The learnt parameters for another grid: those with a value in every cell as they are, others made for it."""
    space = problem.forward.space
    values = {}
    for parameter in space.learnable:
        grid = space.grid if isinstance(parameter, GridField) else layout.grid
        value = space.inside(parameter.name, parameter.value(theta[space.slice_of(parameter.name)], grid))
        values[parameter.name] = value[None] if value.ndim else value
    return values


def _measured(problem: InverseProblem, refinement: Refinement, starts: Tensor, states: Tensor, steps: int) -> Tensor:
    """Whitened residuals `[N]` of states `[S, R, C, *fine]`, read on the finer grid where they were at points."""
    data = problem.data
    if data.observations.positions is None or data.observations.initial_state == "full":
        return data.whitened(starts, refinement.restrict(states), steps, 1)[0]
    return data.on_layout(refinement.layout).whitened(refinement.prolong(starts), states, steps, 1)[0]


def _projected(problem: InverseProblem, coordinates: Tensor, change: Tensor) -> Tensor:
    """(JᵀJ + PᵀP)⁻¹ Jᵀ Δ for the parameters, `[p]`."""
    linear, p = problem.linearised(coordinates), problem.parameter_count
    if len(coordinates) > LARGEST_DENSE:
        return least_squares(linear, change)[:p].cpu()
    _, jacobian = linear.dense()
    _, prior = linear.prior()
    inverse, _ = inverse_root(torch.cat([jacobian, prior]).cpu())
    shift: Tensor = (inverse @ (inverse.T @ (jacobian.T @ change).cpu()))[:p]
    return shift
