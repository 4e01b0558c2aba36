"""How well a fit with terms predicts what no model trains on."""

from __future__ import annotations

import math

from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.term_fit import TermEstimate, TermFit


class HeldOut:
    """Mean squared whitened residuals on the data that no model trains on."""

    def __init__(self, problem: InverseProblem) -> None:
        self.problem, seen = problem, problem.data.observations
        simulations, mask = seen.validation()
        mask = mask[:, 1:]
        self.available = bool(simulations) and bool(mask.any())
        if not self.available:
            return
        self._own = not seen.val
        self._starts, self._values, self._mask = seen.initial_states[simulations], seen.values[simulations, 1:], mask
        self._operator = seen.operator(simulations, 1, seen.steps)
        self._sigma = seen.sigma_at(simulations, slice(1, None))

    def __call__(self, fit: TermFit, estimate: TermEstimate) -> float | None:
        """Of a fit; None where there are no such data, infinite where a rollout is not finite."""
        if not self.available:
            return None
        problem = self.problem
        starts = self._starts.to(problem.device)
        if self._own:
            starts = problem.initial(estimate.coordinates[None].to(problem.device))[0]
        theta = estimate.coordinates[: problem.parameter_count].to(problem.device)
        with fit.with_terms(estimate.coefficients):
            states = problem.forward.rollout(starts, theta, self._values.shape[1]).cpu()
        residual = ((self._operator(states, before=starts.cpu()) - self._values) / self._sigma)[self._mask]
        error = float(residual.square().mean())
        return error if math.isfinite(error) else math.inf
