"""Which terms of a library an equation lacks: forward selection by score tests, each candidate then fitted as physics.

Near the fit of the equation as it is, a term with the coefficient c changes the residuals by c q. What of q the
unknowns cannot do themselves, q̃ = q - J (JᵀJ + PᵀP)⁻¹ Jᵀ q, lowers χ² by (q̃·r)²/q̃·q̃ (Rao's score test). The terms
that lower it most are fitted, each with all unknowns. Of those that lower χ² by more than the extended Bayesian
criterion asks for, in units of the reduced χ² that is left, two are kept: the one with the least error on held-out data
and, where that is another, the one with the least χ² (of two terms that belong together one alone may predict badly).
From both it begins anew; of all rounds that one counts whose error on held-out data is least. What the unknowns can do
nearly as well as a term is theirs: such terms are left out of a round, not of all, as a fit that lacks other terms may
be where that is so.

Sources: C. R. Rao, Math. Proc. Camb. Phil. Soc. 44 (1948) 50, doi:10.1017/S0305004100023987; J. Chen and Z. Chen,
Biometrika 95 (2008) 759, doi:10.1093/biomet/asn034; S. L. Brunton, J. L. Proctor and J. N. Kutz, PNAS 113 (2016) 3932,
doi:10.1073/pnas.1517384113 for libraries of terms.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hyco.inversion.assessment import LARGEST_DENSE
from hyco.inversion.found_terms import FoundTerms
from hyco.inversion.held_out import HeldOut
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.loss import Huber
from hyco.inversion.number_estimates import number_estimates
from hyco.inversion.structure import residual_structure
from hyco.inversion.term_fit import TermEstimate, TermFit
from hyco.inversion.term_library import library
from hyco.inversion.uncertainty import inverse_root

log = logging.getLogger(__name__)

# Terms that are fitted in each round, and rounds.
_TRIED, _ROUNDS = 3, 3
# A term that lowers χ² by so small a part of what the best does, to first order, is not fitted.
_WORTH = 0.2
# A term that lowers the sum of squares by so small a part of what it was at first is no matter of physics: differences
# of terms and of the equation are not the same to that degree.
_MATERIAL = 1e-3
# A term beside which the standard deviation of a parameter is so many times as large is not told from it; nor is one of
# which the unknowns can do all but so small a part of its square.
_INFLATION, _APART = 5.0, 1e-3


@dataclass(frozen=True)
class _Candidate:
    """Numbers of the terms taken, the fit with them, and its error on held-out data."""

    taken: list[int]
    estimate: TermEstimate
    error: float | None


class TermSearch:
    """Forward selection among the terms of the library.

    Args:
        problem: of the equation as it is.
        z: its fit, `[q]`.

    Attributes:
        terms: those that are not zero for such states.
        sizes: coefficients with which each changes the states as much as all that happens does, in the model and beyond
            it, `[m]`.
    """

    def __init__(self, problem: InverseProblem, z: Tensor) -> None:
        self.problem = problem
        starts = problem.initial(z[None].to(problem.device))[0]
        forward, dt = problem.forward, problem.forward.model.equation.dt
        rolled = forward.predict(starts, z[: problem.parameter_count].to(problem.device), problem.steps)
        states = torch.cat([starts[:, None], rolled], dim=1)
        # What the model has happen, and what it leaves unexplained: where that is most of it, terms are larger.
        explained = float(states.diff(dim=1).square().mean().sqrt()) / dt
        flat, happens = states[:, :-1].flatten(0, 1), math.hypot(explained, _rate_of_misfit(problem, z))
        self.terms, sizes = [], []
        for term in library(problem.data.observations.layout):
            size = happens / max(float(term.rate(flat).square().mean().sqrt()), 1e-300)
            if math.isfinite(size) and size > 0:
                self.terms.append(term)
                sizes.append(size)
        self.sizes = torch.tensor(sizes, dtype=torch.float64)
        self._heldout = HeldOut(problem)

    @classmethod
    def of(cls, problem: InverseProblem, z: Tensor) -> TermSearch | None:
        """The search; None where it cannot be made, which is logged."""
        if problem.forward.model.equation.config.is_static:
            log.info("Missing terms are not looked for: they are of rates, which an equation without time has not.")
            return None
        if len(z) > LARGEST_DENSE or isinstance(problem.loss, Huber):
            log.info("Missing terms are looked for with up to %d unknowns and loss: squares.", LARGEST_DENSE)
            return None
        search = cls(problem, z)
        if not search.terms:
            log.info("Missing terms are not looked for: the library has none that fits, or a prediction is not finite.")
            return None
        return search

    def near(self, z: Tensor) -> TermEstimate:
        """The equation as it is near its fit `[q]`."""
        return self._fit([]).near(z, self.sizes[:0])

    def run(self, z: Tensor) -> tuple[FoundTerms, Tensor] | None:
        """What was found from `[q]` on, and the coordinates with it; None where no term was."""
        begun = self._fit([]).minimise(z, self.sizes[:0])
        before = self._heldout(self._fit([]), begun)
        rounds: list[list[dict[str, Any]]] = []
        kept = [_Candidate([], begun, before)]
        best: _Candidate | None = None
        for _ in range(_ROUNDS):
            found = self._with_one_more(kept, rounds, _MATERIAL * begun.cost)
            if not found:
                break
            first = min(found, key=lambda one: one.estimate.cost if one.error is None else one.error)
            cheapest = min(found, key=lambda one: one.estimate.cost)
            kept = [first] if cheapest is first else [first, cheapest]
            # A term may be of use together with the next alone.
            least = before if best is None else best.error
            if first.error is None or least is None or first.error < least:
                best = first
            if self.problem.data.known_noise and self._consistent(first.taken, first.estimate, first.error):
                break
        if best is None:
            return None
        taken, here = self._pruned(best.taken, best.estimate)
        return self._found(taken, begun, here, before, rounds), here.coordinates

    def _with_one_more(
        self, kept: Sequence[_Candidate], rounds: list[list[dict[str, Any]]], least_gain: float
    ) -> list[_Candidate]:
        """Candidates with one term more that earn it; all that were fitted for that are added to the rounds."""
        found: list[_Candidate] = []
        seen: set[frozenset[int]] = set()
        rounds.append([])
        for one in kept:
            taken, here = one.taken, one.estimate
            for k in self._most_promising(taken, here):
                if frozenset([*taken, k]) in seen:
                    continue
                seen.add(frozenset([*taken, k]))
                fit = self._fit([*taken, k])
                estimate = self._fitted(fit, here)
                error = self._heldout(fit, estimate)
                rounds[-1].append(self._described(taken, k, estimate, error))
                if here.cost - estimate.cost > max(self._needed(estimate, taken), least_gain):
                    found.append(_Candidate([*taken, k], estimate, error))
        return found

    def _found(
        self,
        taken: Sequence[int],
        begun: TermEstimate,
        here: TermEstimate,
        before: float | None,
        rounds: list[list[dict[str, Any]]],
    ) -> FoundTerms:
        """The last fit, beside the first."""
        problem, fit = self.problem, self._fit(taken)
        space, p = problem.forward.space, problem.parameter_count
        after = self._heldout(fit, here)
        with torch.enable_grad():  # for the slopes of the numbers
            numbers = number_estimates(space, here.coordinates[:p], here.assessment(problem))
        rows = zip((self.terms[k] for k in taken), here.coefficients.tolist(), here.std.tolist(), strict=True)
        return FoundTerms(
            [
                {"field": t.field, "formula": t.formula, "coefficient": c, "std": std, "words": t.words(c)}
                for t, c, std in rows
            ],
            {name: number.to_json() for name, number in numbers.items()},
            [begun.reduced_chi_square, here.reduced_chi_square],
            None if before is None or after is None or not math.isfinite(before + after) else [before, after],
            self._consistent(taken, here, after),
            rounds,
            problem.data.known_noise,
        )

    def _fitted(self, fit: TermFit, here: TermEstimate) -> TermEstimate:
        """With one term more; from the first guess, too, where an unknown was driven to its bound without it."""
        box, c = self.problem.box, torch.cat([here.coefficients, torch.zeros(1).double()])
        found = fit.minimise(here.coordinates, c)
        if not bool(((here.coordinates <= box.lower) | (here.coordinates >= box.upper)).any()):
            return found
        again = fit.minimise(box.start, c)
        return again if again.cost < found.cost else found

    def _fit(self, which: Sequence[int]) -> TermFit:
        return TermFit(self.problem, [self.terms[k] for k in which], self.sizes[list(which)])

    def directions(self, taken: Sequence[int], here: TermEstimate) -> tuple[Tensor, Tensor]:
        """What each term does to the residuals that the unknowns cannot do, and what it lowers their squares by.

        To first order: q̃ `[N, m]` and (q̃·r)²/q̃·q̃ `[m]`; both 0 for those taken and those not told from the unknowns.
        """
        others = [k for k in range(len(self.terms)) if k not in taken]
        rows = len(here.residual)
        c = torch.cat([here.coefficients, torch.zeros(len(others)).double()])
        columns = self._fit([*taken, *others]).columns(here.coordinates, c)[:, len(taken) :]
        own, residual = torch.cat([here.jacobian, here.prior]), torch.cat([here.residual, here.prior_residual])
        inverse, _ = inverse_root(own)
        same = inverse @ (inverse.T @ (here.jacobian.T @ columns))  # what the unknowns do of each term
        rest = torch.cat([columns, columns.new_zeros((len(here.prior), len(others)))]) - own @ same
        left = rest.square().sum(dim=0)
        p = self.problem.parameter_count
        variance = inverse[:p].square().sum(dim=1, keepdim=True).clamp_min(1e-300)
        inflation = (1 + same[:p].square() / (left * variance)).sqrt().amax(dim=0)
        alike = (left < _APART * columns.square().sum(dim=0)) | ~(inflation < _INFLATION)
        rest[:, alike] = 0.0
        directions, gains = torch.zeros((rows, len(self.terms))).double(), torch.zeros(len(self.terms)).double()
        directions[:, others] = rest[:rows]
        # A term with which a rollout is not finite is none.
        gains[others] = torch.nan_to_num((rest.T @ residual).square() / left.clamp_min(1e-300), 0.0, 0.0, 0.0)
        return directions, gains

    def _most_promising(self, taken: Sequence[int], here: TermEstimate) -> list[int]:
        _, scores = self.directions(taken, here)
        best = scores.argsort(descending=True)[:_TRIED].tolist()
        return [k for k in best if float(scores[k]) > _WORTH * float(scores.max())]

    def _needed(self, best: TermEstimate, taken: Sequence[int]) -> float:
        """What the sum of squares has to fall by for one more term."""
        unit = best.reduced_chi_square
        unit = max(unit, 1.0) if self.problem.data.known_noise else unit
        return unit * (math.log(len(best.residual)) + 2 * math.log(len(self.terms) - len(taken)))

    def _consistent(self, taken: Sequence[int], estimate: TermEstimate, error: float | None) -> bool:
        """Whether residuals are white and, with known noise, no larger than it, nor the error on held-out data."""
        freedom, known = estimate.uncertainty.residual_freedom, self.problem.data.known_noise
        if known and not estimate.reduced_chi_square < 1 + 3 * math.sqrt(2 / max(freedom, 1.0)):
            return False
        with self._fit(taken).with_terms(estimate.coefficients):
            structure = residual_structure(self.problem, estimate.coordinates)
        if structure is None:  # without noise, because hardly any residuals are left
            return not known and freedom >= 10
        return structure.white and self._heldout.within_noise(error, freedom)

    def _pruned(self, taken: list[int], here: TermEstimate) -> tuple[list[int], TermEstimate]:
        """Without terms that later ones have made needless."""
        for k in taken[:-1]:
            rest = [other for other in taken if other != k]
            at = [taken.index(other) for other in rest]
            fitted = self._fit(rest).minimise(here.coordinates, here.coefficients[at])
            if fitted.cost - here.cost < self._needed(here, rest):
                return self._pruned(rest, fitted)
        return taken, here

    def _described(self, taken: Sequence[int], k: int, found: TermEstimate, error: float | None) -> dict[str, Any]:
        """A candidate that was fitted, with those taken before it."""
        terms = [self.terms[j] for j in (*taken, k)]
        words = [term.words(c) for term, c in zip(terms, found.coefficients.tolist(), strict=True)]
        # JSON has no infinity.
        numbers = {"reduced_chi_square": found.reduced_chi_square, "heldout": error}
        return {"terms": words} | {k: v if v is not None and math.isfinite(v) else None for k, v in numbers.items()}


@torch.no_grad()
def _rate_of_misfit(problem: InverseProblem, z: Tensor) -> float:
    """By how much a unit of time the data depart from the model, at the mean time of measurement."""
    data, steps = problem.data, problem.steps
    mask = data.up_to(steps)[1]
    errors = problem.real(z[None].to(problem.device))[0] * data.sigma_up_to(steps).expand(mask.shape)[mask] * data.scale
    times = data.read(steps)
    mean = max(sum(times) / len(times), 1.0) * problem.forward.model.equation.dt
    return float(errors.square().mean().sqrt()) / mean
