"""One update of the physical model: stages of growing horizon, several guesses, the weight of a regularisation."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from hyco.inversion.assessment import LARGEST_DENSE
from hyco.inversion.config import InversionConfig
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.loss import Huber, robust_std
from hyco.inversion.noise_scale import most_likely_scale
from hyco.inversion.objective import LeastSquaresObjective
from hyco.inversion.optimisers.registry import build
from hyco.inversion.optimisers.result import OptimisationResult, Status, best_of
from hyco.inversion.parts import Parts, SearchOptions
from hyco.inversion.regularisation import Fit, discrepancy_principle, l_curve
from hyco.inversion.targets import SyntheticTargets
from hyco.inversion.weak_form import weak_form_guess

log = logging.getLogger(__name__)

# A shorter horizon only has to bring the parameters near: it ends with an iteration that gains less than this part.
_STAGE_TOLERANCE = 0.1
# Where the noise is not known: part of the misfit that `abs_tol` may be, and the misfit that is none.
_SMALL_TO_MISFIT, _ROUNDING = 1e-3, 1e-16
# Searches with a new scale of the residuals, and by how much two scales may differ to be the same.
_MOST_SCALES, _SAME_SCALE = 8, 0.01
# The same where the evidence tells it, and the largest.
_SAME_EVIDENCE, _LARGEST_SCALE = 0.05, 2e3
# What a search begins with there.
_FIRST_SCALE = 100.0
# Unknowns, at most, among which a few points are a look around.
_MOST_SCANNED = 16
# Part of what a parameter may be by which two searches ended in different places.
_ELSEWHERE = 0.01


class Search:
    """Minimises the objective of a problem with the configured method.

    Args:
        information: diagonal of the information of all coordinates, `[q]`; scales the first step of L-BFGS-B.
        limit: iterations allowed; None: those of one update.
        parts: who searches from several batches of guesses; None: this process, in turn.
    """

    def __init__(
        self,
        problem: InverseProblem,
        config: InversionConfig,
        alpha: float,
        synthetic: SyntheticTargets | None,
        information: Tensor | None = None,
        limit: int | None = None,
        parts: Parts | None = None,
    ) -> None:
        self.problem, self.config, self.parts = problem, config, parts
        self.alpha, self.synthetic, self.information = alpha, synthetic, information
        self._tolerance = config.abs_tol
        self.limit = limit or config.max_iterations or config.epochs

    def run(self, guess: Tensor, *, first: bool) -> OptimisationResult:
        """From coordinates `[q]`; the first update has shorter horizons, more guesses and the choice of a weight."""
        problem = self.problem
        # The states at t = 0 may be measured, but they say nothing of the parameters.
        data, steps = problem.data, problem.steps
        informative = [h for h in self.config.horizons if h < steps and max(data.read(h), default=0) > 0]
        earlier = informative if first else []
        if first and self.config.first_guess == "weak_form":
            guess = weak_form_guess(problem, guess)
        if first and isinstance(problem.loss, Huber) and not data.known_noise:
            self._rescaled(guess)  # too large, as the guess is wrong: that is the loss of squares, nearly
        weighed = self.synthetic is None and self._weighs_a_prior(guess)
        if first and weighed:
            # With little noise unknown states would follow the data under any parameters, and hold these there.
            data.rescale(_FIRST_SCALE)
        if first and self.config.scan and problem.parameter_count <= _MOST_SCANNED:
            guess = self._best_of(self._spread(guess, self.config.scan), earlier[0] if earlier else steps)
        guesses = self._spread(guess, self.config.starts - 1) if first else guess[None]
        before: list[OptimisationResult] = []
        undecided = problem.forward.space.undecided
        if undecided and earlier:
            # A first choice for the way; the whole horizon decides.
            guesses = self._choose_weight(undecided, guesses, earlier[0])[None]
        for horizon in earlier:
            stage = self._minimise(guesses, horizon, None, rel_tol=_STAGE_TOLERANCE)
            log.info("Horizon of %d steps: %s after %d evaluations.", horizon, stage.reason, stage.evaluations)
            before.append(stage)
            if stage.status is not Status.DIVERGED:
                guesses = torch.from_numpy(stage.x.copy())[None]
        if undecided:
            guesses = self._choose_weight(undecided, guesses, problem.steps)[None]
        result = self._minimise(guesses, problem.steps, self.synthetic)
        if not data.known_noise and self.synthetic is None:
            result = self._on(result)
        if isinstance(problem.loss, Huber) and not data.known_noise:
            result = self._with_scale(result, guess, self._rescaled)
        elif weighed:
            result = self._with_scale(result, guess, self._rescaled_by_evidence)
        if not before:
            return result
        return replace(
            result,
            history=[entry for stage in [*before, result] for entry in stage.history],
            evaluations=sum(stage.evaluations for stage in [*before, result]),
            ends=before[0].ends,  # of the searches from all guesses, before the best went on
        )

    def _on(self, result: OptimisationResult) -> OptimisationResult:
        """Search on while `abs_tol` is not small against the misfit, where that is all that tells the noise.

        σ then is a thousandth of the values' spread, whatever the noise is: what gains little in that unit may be many
        times the misfit.
        """
        left = self.limit - result.iterations
        while (
            result.status is Status.CONVERGED
            and left > 0
            and _ROUNDING < result.value < self._tolerance / _SMALL_TO_MISFIT
        ):
            self._tolerance *= min(result.value, 1.0)
            start = torch.from_numpy(result.x.copy())[None]
            last = self._minimise(start, self.problem.steps, None, limit=left)
            left -= max(last.iterations, 1)
            if last.status is Status.DIVERGED or last.value > result.value:
                break
            better = replace(
                last,
                initial_value=result.initial_value,
                iterations=result.iterations + last.iterations,
                history=[*result.history, *last.history],
                evaluations=result.evaluations + last.evaluations,
                ends=[end for end in result.ends if end["x"] != result.x.tolist()] + last.ends,
            )
            # By `abs_tol` it had converged.
            result = better if last.status is Status.CONVERGED else replace(better, status=Status.CONVERGED)
        self._tolerance = self.config.abs_tol
        return result

    def _weighs_a_prior(self, guess: Tensor) -> bool:
        """Whether the level of the noise is not known, but counts, as a prior is weighed against it."""
        problem = self.problem
        if problem.data.known_noise or len(guess) > LARGEST_DENSE or problem.forward.space.undecided:
            return False
        return problem.prior(guess[None].to(problem.device)).shape[1] > 0

    def _with_scale(
        self, result: OptimisationResult, guess: Tensor, rescaled: Callable[[Tensor], bool]
    ) -> OptimisationResult:
        """Search on, with residuals in units of their own scale, until that is as large as it was taken to be."""
        data, ends = self.problem.data, result.ends
        for _ in range(_MOST_SCALES):
            if result.status is Status.DIVERGED or not rescaled(torch.from_numpy(result.x)):
                break
            # The others go on too: which of them fit as well is seen on the same scale.
            last = self._minimise(self._apart(result, ends), self.problem.steps, self.synthetic)
            history, evaluations = [*result.history, *last.history], result.evaluations + last.evaluations
            result, ends = replace(last, history=history, evaluations=evaluations), last.ends
        # What the search has gained is in units of the last scale.
        with torch.no_grad():
            first = self.problem.objective(
                guess[None].to(self.problem.device), self.problem.steps, self.alpha, self.synthetic
            )
        by = "their median" if isinstance(self.problem.loss, Huber) else "the evidence"
        log.info("Scale of the residuals by %s: %.4g of the values' standard deviation.", by, 1e-3 * data.scale)
        return replace(result, initial_value=float(first.square().sum()))

    def _apart(self, result: OptimisationResult, ends: Sequence[Mapping[str, Any]]) -> Tensor:
        """The best point and where other searches ended elsewhere, `[K, q]`."""
        width = self.problem.box.width[: self.problem.parameter_count].cpu()
        points = [torch.from_numpy(result.x.copy())]
        for end in ends:
            point = torch.tensor(end["x"], dtype=points[0].dtype)
            away = [((point - other)[: len(width)].abs() > _ELSEWHERE * width).any() for other in points]
            if end["value"] is not None and all(away):
                points.append(point)
        return torch.stack(points)

    def _rescaled_by_evidence(self, z: Tensor) -> bool:
        """Take the scale under which the measurements are most likely, near `[q]`; whether it is another one."""
        data = self.problem.data
        # σ is a thousandth of the values' spread.
        found = most_likely_scale(self.problem.linearised(z), 1.0 / data.scale, _LARGEST_SCALE / data.scale)
        changed = abs(found - 1) > _SAME_EVIDENCE
        if changed:
            data.rescale(found * data.scale)
        return changed

    @torch.no_grad()
    def _rescaled(self, z: Tensor) -> bool:
        """Take the scale of the residuals at `[q]`; whether it is another one."""
        data, problem = self.problem.data, self.problem
        residuals = problem.real(z[None].to(problem.device))[0]
        noisy = data.noisy(problem.steps)
        factor = robust_std(residuals if noisy is None else residuals[noisy], problem.parameter_count)
        # Noise below a thousandth of the values' spread is none: the scale then is as it is without.
        scale = max(data.scale * factor, 1.0)
        changed = abs(scale - data.scale) > _SAME_SCALE * data.scale
        if changed:
            data.rescale(scale)
        return changed

    @torch.no_grad()
    def _best_of(self, guesses: Tensor, steps: int) -> Tensor:
        """The one of guesses `[K, q]` with the smallest loss, `[q]`."""
        residuals = self.problem.objective(guesses.to(self.problem.device), steps, self.alpha, self.synthetic)
        losses = residuals.square().sum(dim=1).nan_to_num(nan=math.inf)
        best = int(losses.argmin())
        text = "the first guess" if best == 0 else "another one"
        log.info(
            "Of %d points the search begins at the best, %s (loss %.4g, %.4g).",
            len(guesses),
            text,
            losses[best],
            losses[0],
        )
        return guesses[best]

    def _spread(self, guess: Tensor, count: int) -> Tensor:
        """The first guess, and further ones that fill the bounds evenly (a Sobol sequence), `[1 + count, q]`."""
        guesses = guess.repeat(1 + count, 1)
        if count:
            p = self.problem.parameter_count
            engine = torch.quasirandom.SobolEngine(p, scramble=True, seed=0)  # type: ignore[no-untyped-call]
            even = engine.draw(count).to(guess.dtype)
            space = self.problem.forward.space
            inside = torch.where(space.bounded, space.lower, space.initial - space.width / 2)
            spread = inside + even * torch.where(space.bounded, space.upper - inside, space.width)
            guesses[1:, :p] = spread.clamp(space.lower, space.upper)
        return guesses

    def _choose_weight(self, names: list[str], guesses: Tensor, steps: int) -> Tensor:
        """Choose one weight for the regularisations of these parameters on real data; coordinates `[q]` of that fit.

        Args:
            guesses: of the first fit, `[K, q]`; the others go on from it.
            steps: horizon of the data.
        """
        problem = self.problem
        mask = problem.data.noisy(steps)
        noisy = slice(None) if mask is None else mask
        how = next(p.regularised.weight for p in problem.forward.space.learnable if p.name in names and p.regularised)

        def solve(weight: float, z: Tensor) -> Fit:
            problem.forward.space.choose(names, weight)
            several = z.reshape(-1, z.shape[-1])
            result = self._minimise(several, steps, None, limit=max(self.limit, 50))
            best = torch.from_numpy(result.x.copy()) if result.status is not Status.DIVERGED else several[0]
            with torch.no_grad():
                misfit = float(problem.fit(best[None].to(problem.device), steps)[:, noisy].square().mean())
                penalty = float(problem.forward.space.penalty(best[: problem.parameter_count], names))
            return Fit(weight, best, misfit, penalty)

        if how == "discrepancy":
            count = problem.data.count(steps) if mask is None else int(mask.sum())
            fit, fits = discrepancy_principle(solve, guesses, residuals=count)
        else:
            fit, fits = l_curve(solve, guesses)
        problem.forward.space.choose(names, fit.weight)
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
        guesses: Tensor,
        steps: int,
        synthetic: SyntheticTargets | None,
        limit: int | None = None,
        rel_tol: float = 0.0,
    ) -> OptimisationResult:
        """Run the configured method from `[K, q]`, in batches of `starts_at_once`."""
        options = SearchOptions(steps, self.alpha, self._tolerance, rel_tol, limit or self.limit)
        batches = torch.split(guesses, self.config.starts_at_once or len(guesses))
        if len(batches) > 1:
            with torch.no_grad():  # decides how the step runs: not who searches from a batch
                self.problem.objective(batches[0].to(self.problem.device), steps, self.alpha, synthetic)
        if len(batches) == 1 or self.parts is None or synthetic is not None:
            found = [minimised(self.problem, self.config, b, options, self.information, synthetic) for b in batches]
        else:
            found = self.parts.searches(self.problem, batches, options, self.information)
        return found[0] if len(found) == 1 else best_of(found)


def minimised(
    problem: InverseProblem,
    config: InversionConfig,
    guesses: Tensor,
    options: SearchOptions,
    information: Tensor | None,
    synthetic: SyntheticTargets | None = None,
) -> OptimisationResult:
    """Minimise the objective of a problem with the configured method from guesses `[K, q]` in one batch."""
    objective = LeastSquaresObjective(problem, options.steps, options.alpha, synthetic, information)
    return build(config.optimiser).minimise(
        objective,
        guesses.to(problem.device),
        abs_tol=options.abs_tol,
        rel_tol=options.rel_tol,
        max_iterations=options.max_iterations,
    )
