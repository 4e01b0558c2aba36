"""Whether the states are close enough in time to read measurements between them."""

from __future__ import annotations

import logging
from dataclasses import replace

import torch

from hyco.inversion.inverse_problem import InverseProblem
from hyco.observations.time_interpolation import NODES, BetweenOperator

log = logging.getLogger(__name__)

# Standard deviations of the noise that an error may have before it counts.
_ALLOWED = 0.1


@torch.no_grad()
def warn_of_coarse_steps(problem: InverseProblem, z: torch.Tensor) -> None:
    """Warn where interpolation in time is off by more than a tenth of the noise, at the rollout for coordinates `[q]`.

    The error of the cubic is its distance from the quartic, which one more state decides. Where σ is not known the
    scatter of the residuals stands for it.
    """
    data, steps = problem.data, problem.steps
    operator = data.observations.operator(data.observations.train, data.first, steps)
    if not isinstance(operator, BetweenOperator):
        return
    z = z[None].to(problem.device)
    starts = problem.initial(z)[0]
    states = problem.forward.rollout(starts, z[0, : problem.parameter_count], steps)
    before = starts if data.first else None
    states = states if data.first else torch.cat([starts[:, None], states], dim=1)
    cubic, quartic = (replace(operator, nodes=n).to(problem.device)(states, before) for n in (NODES, NODES + 1))
    mask = data.up_to(steps)[1]
    at_data = [n - data.first for n in data.read(steps)]
    error = (cubic - quartic).abs()[:, at_data] / (data.scale * data.sigma_up_to(steps))
    allowed = _ALLOWED
    if not data.known_noise:
        allowed *= max(1.0, float(problem.real(z).square().mean().sqrt()))
    error = torch.where(mask, error, 0.0)
    worst = float(error.max())
    if not worst > allowed:
        return
    step = data.read(steps)[int(error.flatten(2).amax(dim=(0, 2)).argmax())]
    dt = data.observations.dt
    log.warning(
        "Interpolation in time between states is off by more than a tenth of the noise in %d of %d measurements, most "
        "by t = %g (%.2g of the noise's standard deviation): make equation.dt smaller, about %.2g.",
        int((error > allowed).sum()),
        int(mask.sum()),
        step * dt,
        _ALLOWED * worst / allowed,
        dt * (allowed / worst) ** (1 / NODES),
    )
