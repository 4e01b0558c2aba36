"""The fit of a problem's coordinates and of coefficients of terms that its equation may lack, together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from hyco.inversion.assessment import Assessment, without_initial_states
from hyco.inversion.identifiability import identifiability
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.terms import AddedTerms, Term
from hyco.inversion.uncertainty import INTERVAL, Uncertainty, laplace

_ITERATIONS, _TOLERANCE = 8, 1e-3
# Coefficients stay below so many of their prior's standard deviations.
_LARGEST = 3.0
_DIFFERENCE = 1e-4


@dataclass(frozen=True)
class TermEstimate:
    """Coordinates and coefficients with which the measurements are fitted best, and the problem near them.

    Attributes:
        coordinates: `[q]`.
        coefficients: `[m]`.
        cost: sum of the squares of all residuals, those of the priors among them.
        residual, jacobian: of the real data, `[N]` and `[N, q + m]`.
        prior_residual, prior: of the priors, the coefficients' among them.
        known_noise, noisy: of the measurements, see `laplace`.
    """

    coordinates: Tensor
    coefficients: Tensor
    cost: float
    residual: Tensor
    jacobian: Tensor
    prior_residual: Tensor
    prior: Tensor
    known_noise: bool
    noisy: Tensor | None

    @cached_property
    def uncertainty(self) -> Uncertainty:
        """Of all of them, `[q + m]`, worked out where it is asked for: not in each step of a search."""
        prior = self.prior if len(self.prior) else None
        return laplace(self.jacobian, self.residual, prior=prior, known_noise=self.known_noise, noisy=self.noisy)

    @property
    def reduced_chi_square(self) -> float:
        """Squared residuals over degrees of freedom."""
        return self.uncertainty.reduced_chi_square

    @property
    def std(self) -> Tensor:
        """Of the coefficients, `[m]`."""
        return self.uncertainty.std[len(self.coordinates) :]

    def assessment(self, problem: InverseProblem) -> Assessment:
        """How sure the coordinates of the parameters are while the coefficients are not known either."""
        p, q, whole = problem.parameter_count, len(self.coordinates), self.uncertainty
        unit = whole.quantile / (INTERVAL / 2) / whole.precision
        data = without_initial_states(self.jacobian / unit, self.prior, p)
        space = problem.forward.space
        return Assessment(
            replace(whole, covariance=whole.covariance[:p, :p]),
            identifiability(data, space.width, space.labels),
            torch.arange(p),
            torch.zeros(p, dtype=torch.float64),
            whole.covariance[:q, :q],
        )


class TermFit:
    """Least squares over coordinates and coefficients, with a prior that each term is no larger than what happens.

    Args:
        problem: of which the residuals are, without a correction of the step that is active.
        terms: those that may be missing.
        sizes: the prior's standard deviation of each coefficient, `[m]`.
    """

    def __init__(self, problem: InverseProblem, terms: Sequence[Term], sizes: Tensor) -> None:
        self.problem, self.terms, self.sizes = problem, list(terms), sizes
        self.added = AddedTerms(terms, problem.data.observations.layout, problem.forward.model.equation.dt)

    @contextmanager
    def with_terms(self, coefficients: Tensor) -> Iterator[None]:
        """The physical steps have the terms with these coefficients beside them, `[m]` or `[B, m]`."""
        if not self.terms:
            yield
            return
        self.added.set(coefficients if coefficients.ndim == 2 else coefficients[None])
        with self.problem.corrected_by(self.added):
            yield

    @torch.no_grad()
    def minimise(self, z: Tensor, c: Tensor) -> TermEstimate:
        """From there by damped Gauss-Newton steps inside the bounds; there where a rollout is not finite."""
        box, q, damping = self.problem.box, len(z), 1e-3
        reach = _LARGEST * self.sizes
        lower, upper = torch.cat([box.lower, -reach]), torch.cat([box.upper, reach])
        here = self.near(z, c)
        if not math.isfinite(here.cost):
            return here
        for _ in range(_ITERATIONS):
            J = torch.cat([here.jacobian, here.prior])
            slope = J.T @ torch.cat([here.residual, here.prior_residual])
            normal, moved, cost = J.T @ J, None, here.cost
            scale = torch.diag(normal.diagonal().clamp_min(1e-12))
            while damping < 1e6:
                step = torch.linalg.solve(normal + damping * scale, -slope)
                moved = (torch.cat([z, c]) + step).clamp(lower, upper)
                if (cost := self._cost(moved[:q], moved[q:])) < here.cost:
                    break
                damping *= 10
            if moved is None or not cost < here.cost:
                break
            gain, damping = here.cost - cost, max(damping / 10, 1e-9)
            z, c = moved[:q], moved[q:]
            here = self.near(z, c)
            if gain < _TOLERANCE * max(1.0, 1e-2 * cost):
                break
        return here

    @torch.no_grad()
    def near(self, z: Tensor, c: Tensor) -> TermEstimate:
        """The problem near `[q]` and `[m]`, as if they were the best."""
        problem, q = self.problem, len(z)
        with self.with_terms(c):
            linear = problem.linearised(z)
            residual, jacobian = (v.cpu() for v in linear.dense())
            prior_residual, prior = (v.cpu() for v in linear.prior())
            noisy = None if linear.noisy is None else linear.noisy.cpu()
        jacobian = torch.cat([jacobian, self.columns(z, c)], dim=1)
        prior_residual = torch.cat([prior_residual, c / self.sizes])
        own = torch.zeros((len(prior) + len(c), q + len(c)), dtype=torch.float64)
        own[: len(prior), :q], own[len(prior) :, q:] = prior, torch.diag(1 / self.sizes)
        prior = own
        cost = float(residual.square().sum() + prior_residual.square().sum())
        known = problem.data.known_noise
        return TermEstimate(z, c, cost, residual, jacobian, prior_residual, prior, known, noisy)

    @torch.no_grad()
    def columns(self, z: Tensor, c: Tensor) -> Tensor:
        """Derivatives of the residuals of the data by the coefficients `[N, m]` near `[q]`, `[m]`, by differences."""
        if not len(c):
            return torch.empty((self.problem.data.count(self.problem.steps), 0), dtype=torch.float64)
        h = _DIFFERENCE * self.sizes
        above, below = self._residuals(z, c + torch.diag(h)), self._residuals(z, c - torch.diag(h))
        return ((above - below) / (2 * h[:, None])).T

    def _residuals(self, z: Tensor, coefficients: Tensor) -> Tensor:
        """Of the data, `[K, N]`, at `[q]` for coefficients `[K, m]`."""
        problem, parts = self.problem, []
        count = len(problem.starts)
        for some in torch.split(coefficients, problem.copies(problem.steps)):
            points = z.to(problem.device).expand(len(some), -1)
            with self.with_terms(some.repeat_interleave(count, dim=0)):
                parts.append(problem.real(points).cpu())
        return torch.cat(parts)

    def _cost(self, z: Tensor, c: Tensor) -> float:
        """The sum of all squares; NaN where a rollout is not finite."""
        there = z[None].to(self.problem.device)
        with self.with_terms(c):
            parts = [self.problem.real(there), self.problem.prior(there), (c / self.sizes)[None]]
        return float(sum(part.square().sum().cpu() for part in parts))
