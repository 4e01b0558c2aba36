"""One update of the physical model: stages of growing horizon, several starts, the weight of a regularisation."""

from __future__ import annotations

import logging
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyco.inversion.config import InversionConfig
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.jacobian import reverse_jacobian
from hyco.inversion.optimisers.adam import minimise_adam
from hyco.inversion.optimisers.lbfgsb import minimise_lbfgsb
from hyco.inversion.optimisers.levenberg_marquardt import minimise_levenberg_marquardt
from hyco.inversion.optimisers.result import OptimisationResult, Status
from hyco.inversion.regularisation import Fit, discrepancy, l_curve
from hyco.inversion.targets import SyntheticTargets

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

# A shorter horizon only has to bring the parameters near: it ends with an iteration that gains less than this part.
_STAGE_TOLERANCE = 0.1


class Search:
    """Minimises the objective of a problem with the configured method.

    Args:
        information: diagonal of the information of all coordinates, `[q]`; scales the first step of L-BFGS-B.
        limit: iterations allowed; None: those of one update.
    """

    def __init__(
        self,
        problem: InverseProblem,
        config: InversionConfig,
        alpha: float,
        interaction: SyntheticTargets | None,
        information: Tensor | None = None,
        limit: int | None = None,
    ) -> None:
        self.problem, self.config = problem, config
        self.alpha, self.interaction, self.information = alpha, interaction, information
        self.limit = limit or config.max_iterations or config.epochs

    def run(self, start: Tensor, *, first: bool) -> OptimisationResult:
        """From coordinates `[q]`; the first update also has the shorter horizons, starts and the choice of a weight."""
        problem = self.problem
        # The states at t = 0 may be measured, but they tell nothing of the parameters.
        told = [h for h in self.config.horizons if h < problem.steps and max(problem.read(h), default=0) > 0]
        earlier = told if first else []
        starts = self._starts(start) if first else start[None]
        before: list[OptimisationResult] = []
        undecided = problem.space.undecided
        if undecided and earlier:
            # A first choice for the way; the whole horizon decides.
            starts = self._choose_weight(undecided, starts, earlier[0])[None]
        for steps in earlier:
            stage = self._minimise(starts, steps, None, rel_tol=_STAGE_TOLERANCE)
            log.info("Horizon of %d steps: %s after %d evaluations.", steps, stage.reason, stage.evaluations)
            before.append(stage)
            if stage.status is not Status.DIVERGED:
                starts = torch.from_numpy(stage.x.copy())[None]
        if undecided:
            starts = self._choose_weight(undecided, starts, problem.steps)[None]
        result = self._minimise(starts, problem.steps, self.interaction)
        result.history = [entry for stage in before for entry in stage.history] + result.history
        result.evaluations += sum(stage.evaluations for stage in before)
        if before:  # where the several starts ended, before the best went on
            result.starts = before[0].starts
        return result

    def _starts(self, start: Tensor) -> Tensor:
        """The first guess, and further ones that fill the bounds evenly (a Sobol sequence), `[K, q]`."""
        count = self.config.starts
        starts = start.repeat(count, 1)
        if count > 1:
            p = self.problem.parameters
            engine = torch.quasirandom.SobolEngine(p, scramble=True, seed=0)  # type: ignore[no-untyped-call]
            even = engine.draw(count - 1).to(start.dtype)
            space = self.problem.space
            boxed = torch.isfinite(space.lower) & torch.isfinite(space.upper)
            inside = torch.where(boxed, space.lower, space.initial - space.width / 2)
            starts[1:, :p] = inside + even * torch.where(boxed, space.upper - inside, space.width)
        return starts

    def _choose_weight(self, names: list[str], starts: Tensor, steps: int) -> Tensor:
        """Choose one weight for the regularisations of these parameters on real data; coordinates `[q]` found with it.

        Args:
            starts: of the first fit, `[K, q]`; the others go on from it.
            steps: horizon of the data.
        """
        problem = self.problem
        mask = problem.noisy(steps)
        noisy = slice(None) if mask is None else mask
        how = next(p.regularised.weight for p in problem.space.learnable if p.name in names and p.regularised)

        def solve(weight: float, z: Tensor) -> Fit:
            problem.space.weights.update(dict.fromkeys(names, weight))
            several = z.reshape(-1, z.shape[-1])
            result = self._minimise(several, steps, None, limit=max(self.limit, 50))
            found = torch.from_numpy(result.x.copy()) if result.status is not Status.DIVERGED else several[0]
            with torch.no_grad():
                point = found[None].to(problem.device)
                misfit = float(problem.real(point, steps)[:, noisy].square().mean())
                penalty = float(problem.space.penalty(found[: problem.parameters], names))
            return Fit(weight, found, misfit, penalty)

        if how == "discrepancy":
            count = problem.count(steps) if mask is None else int(mask.sum())
            fit, fits = discrepancy(solve, starts, residuals=count)
        else:
            fit, fits = l_curve(solve, starts)
        problem.space.weights.update(dict.fromkeys(names, fit.weight))
        log.info(
            "Regularisation weight %.3g by %s (%d fits, misfit %.4g of the noise).",
            fit.weight,
            "the discrepancy principle" if how == "discrepancy" else "the L-curve",
            len(fits),
            fit.misfit,
        )
        return fit.z

    def _minimise(
        self,
        starts: Tensor,
        steps: int,
        interaction: SyntheticTargets | None,
        limit: int | None = None,
        rel_tol: float = 0.0,
    ) -> OptimisationResult:
        """Run the configured method from `[K, q]`."""
        problem, device = self.problem, self.problem.device
        starts, lower, upper = (v.to(device) for v in (starts, problem.lower, problem.upper))
        limit = limit or self.limit
        if self.config.method == "Levenberg-Marquardt":
            return self._levenberg_marquardt(starts, lower, upper, steps, interaction, limit, rel_tol)
        if self.config.method == "Adam":
            return minimise_adam(
                lambda z: self._values(z, steps, interaction),
                starts,
                lower,
                upper,
                abs_tol=self.config.abs_tol,
                max_iterations=limit,
                learning_rate=self.config.learning_rate,
            )
        return self._lbfgsb(starts, steps, interaction, limit)

    def _values(self, z: Tensor, steps: int, interaction: SyntheticTargets | None) -> tuple[Tensor, Tensor]:
        """Losses `[K]` and their gradients `[K, q]`."""
        leaf = z.detach().clone().requires_grad_(True)
        loss = self.problem.objective(leaf, steps, self.alpha, interaction).square().sum(dim=1)
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        return loss.detach(), gradient

    def _levenberg_marquardt(
        self,
        starts: Tensor,
        lower: Tensor,
        upper: Tensor,
        steps: int,
        interaction: SyntheticTargets | None,
        limit: int,
        rel_tol: float,
    ) -> OptimisationResult:
        problem, alpha = self.problem, self.alpha

        @torch.no_grad()
        def residuals(z: Tensor) -> Tensor:
            return problem.objective(z, steps, alpha, interaction)

        def by_parts(z: Tensor, r: Tensor) -> Tensor:
            with torch.no_grad():
                return torch.stack([problem.objective_jacobian(point, steps, alpha, interaction) for point in z])

        def by_rows(z: Tensor, r: Tensor) -> Tensor:
            rows = [
                reverse_jacobian(lambda y: problem.objective(y[None], steps, alpha, interaction)[0], point)
                for point in z
            ]
            return torch.stack(rows)

        jacobian = None
        count = problem.count(steps)
        rows_are_fewer = self.config.jacobian == "auto" and count < len(problem.space) / 3 and interaction is None
        if self.config.jacobian == "reverse" or rows_are_fewer:
            jacobian = by_rows
        elif problem.initial_states is not None:
            jacobian = by_parts
        return minimise_levenberg_marquardt(
            residuals,
            starts,
            lower,
            upper,
            abs_tol=self.config.abs_tol,
            max_iterations=limit,
            rel_tol=rel_tol,
            jacobian=jacobian,
        )

    def _lbfgsb(
        self, starts: Tensor, steps: int, interaction: SyntheticTargets | None, limit: int
    ) -> OptimisationResult:
        """From the best of the starts, all evaluated in one batch."""
        problem, best = self.problem, 0
        if len(starts) > 1:
            with torch.no_grad():
                values = problem.objective(starts, steps, self.alpha, None).square().sum(dim=1)
            best = int(torch.nan_to_num(values, nan=math.inf).argmin())

        def objective(point: Array) -> tuple[float, Array]:
            loss, gradient = self._values(torch.tensor(point, device=problem.device)[None], steps, interaction)
            if not bool(torch.isfinite(loss).all()):
                return math.nan, np.full_like(point, math.nan)
            return float(loss[0]), gradient[0].cpu().numpy()

        return minimise_lbfgsb(
            objective,
            starts[best].cpu().numpy(),
            torch.stack([problem.lower, problem.upper], dim=1).numpy(),
            abs_tol=self.config.abs_tol,
            max_iterations=limit,
            scale=self._curvature_scale(steps),
            width=problem.width.numpy(),
        )

    def _curvature_scale(self, steps: int) -> Array | None:
        """1/√(∂²loss/∂z²) for each coordinate, in the Gauss-Newton approximation; None where it is not usable."""
        if self.information is None:
            return None
        curvature = 2 * self.information.numpy() / self.problem.count(steps)
        if not np.isfinite(curvature).all() or not (curvature > 0).all():
            return None
        return np.asarray(np.minimum(1 / np.sqrt(curvature), 0.25 * self.problem.width.numpy()))
