"""How well a fit with terms predicts what no model trains on."""

from __future__ import annotations

import math

from torch import Tensor

from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.term_fit import TermEstimate, TermFit

# Errors beyond so many standard deviations are no chance.
_DEVIATIONS = 3.0


class HeldOut:
    """Mean squared whitened residuals on the data that no model trains on, of channels that have noise.

    There are none in validation simulations whose initial states are not known: a rollout begins with them.
    """

    def __init__(self, problem: InverseProblem) -> None:
        self.problem, seen = problem, problem.data.observations
        simulations, mask = seen.validation()
        mask = mask[:, 1:] & seen.has_noise_of_entries
        begun = not seen.val or seen.initial_state != "observed"
        self.available = begun and bool(simulations) and bool(mask.any())
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
        with fit.with_terms(estimate.coefficients):
            return self.of(estimate.coordinates)

    def of(self, coordinates: Tensor) -> float | None:
        """Of the equation as it is at `[q]`."""
        if not self.available:
            return None
        problem = self.problem
        starts = self._starts.to(problem.device)
        if self._own:
            starts = problem.initial(coordinates[None].to(problem.device))[0]
        theta = coordinates[: problem.parameter_count].to(problem.device)
        states = problem.forward.rollout(starts, theta, self._values.shape[1]).cpu()
        residual = ((self._operator(states, before=starts.cpu()) - self._values) / self._sigma)[self._mask]
        error = float(residual.square().mean())
        return error if math.isfinite(error) else math.inf

    def within_noise(self, error: float | None, residual_freedom: float) -> bool:
        """Whether an error is no more than noise of known size lets it be; true where that cannot be told.

        Of n held-out measurements the noise has at most 1 + 3 √(2/n). What k unknowns take up of the noise of N
        measurements, (k ± √(2k))/N, is about what their own errors add elsewhere.

        Args:
            error: on held-out data.
            residual_freedom: N - k of the fit.
        """
        seen = self.problem.data.observations
        if error is None or not seen.noise_known or not (self._own or seen.initial_known):
            return True
        noisy = self.problem.data.noisy(self.problem.steps)
        count = self.problem.data.count(self.problem.steps) if noisy is None else int(noisy.sum())
        taken = max(count - residual_freedom, 0.0)
        own = (taken + _DEVIATIONS * math.sqrt(2 * taken)) / count
        return error < 1 + _DEVIATIONS * math.sqrt(2 / int(self._mask.sum())) + own
