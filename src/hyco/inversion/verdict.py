"""What a misfit is of: nothing, the grid, the model of the noise, or the equation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from hyco.inversion.assessment import assess
from hyco.inversion.correlated_noise import CorrelatedNoise
from hyco.inversion.discretisation import discretisation_change
from hyco.inversion.found_terms import FoundTerms
from hyco.inversion.held_out import HeldOut
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.loss import Huber
from hyco.inversion.missing_terms import TermSearch
from hyco.inversion.residual_places import Places
from hyco.inversion.structure import ResidualStructure, residual_structure
from hyco.inversion.term_fit import TermEstimate
from hyco.inversion.uncertainty import Uncertainty, inverse_root
from hyco.observations import NOISE_FREE_SIGMA
from hyco.runtime.words import percent

Cause = Literal["consistent", "grid", "noise model", "physics"]

# A cause is one that takes so much of what the squared residuals have beyond the noise.
_MOST = 0.5
# Residuals so many times as large as the noise is said to be are taken for more than noise, if they are correlated; and
# a term for more than chance that takes so much of what they have beyond it.
_TOO_LARGE, _TERM = 2.0, 0.2
# A reduced χ² beyond so many of its standard deviations is no chance; nor is the largest score of terms.
_DEVIATIONS, _SIGNIFICANT = 3.0, 1e-3

_NO_TERM, _UNIT = "no term of the states or the place tells them", "the data's standard deviation"


@dataclass(frozen=True)
class Verdict:
    """What the misfit of the equation as it is comes from.

    Attributes:
        cause: `consistent`: there is none; `grid`: the error of cells and time step, as a finer grid predicts it;
            `noise model`: its level, outliers or correlation, of which the states tell nothing; `physics`: residuals
            follow the states.
        why: in words.
        terms: that the equation lacks; None where none were looked for, or found.
        coordinates: of the fit with them, `[q]`; it is not in files.
    """

    cause: Cause
    why: str
    terms: FoundTerms | None = None
    coordinates: Tensor | None = None

    @property
    def explained(self) -> bool:
        """Whether the terms leave nothing to explain."""
        return self.terms is not None and self.terms.consistent

    @property
    def helped(self) -> bool:
        """Whether the terms leave little to explain."""
        return self.terms is not None and self.terms.helpful

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        terms = None if self.terms is None else self.terms.to_json()
        return {"cause": self.cause, "why": self.why, "terms": terms}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        """The inverse of `to_json`."""
        terms = None if data["terms"] is None else FoundTerms.from_json(data["terms"])
        return cls(data["cause"], data["why"], terms)


def judged(
    problem: InverseProblem, coordinates: Tensor, *, discretisation: bool, look_for_terms: bool
) -> Verdict | None:
    """The `verdict` with what it is made of: the tests of the residuals and, if it is to be, the error of the grid."""
    of_grid = discretisation_change(problem, coordinates) if discretisation else None
    structure = residual_structure(problem, coordinates)
    assessment = assess(problem.linearised(coordinates), problem.forward.space)
    return verdict(problem, coordinates, assessment.uncertainty, structure, of_grid, look_for_terms=look_for_terms)


@torch.no_grad()
def verdict(
    problem: InverseProblem,
    coordinates: Tensor,
    uncertainty: Uncertainty,
    structure: ResidualStructure | None,
    of_grid: Tensor | None,
    *,
    look_for_terms: bool,
) -> Verdict | None:
    """The verdict on the fit `[q]` of the equation as it is.

    Args:
        uncertainty: of the fit.
        structure: the tests of its residuals.
        of_grid: what the error of the grid has of the residuals, `[N]`, on any device; None: not worked out.
        look_for_terms: whether to look for missing terms, where the physics is wrong.

    Returns:
        None where there is nothing to test: no noise, fewer than 10 degrees of freedom, a prediction that is not
        finite, too many unknowns, or a robust loss, which takes a misfit for outliers.
    """
    known = problem.data.known_noise
    if structure is None or isinstance(problem.loss, Huber):
        return None
    chi_square, most = uncertainty.reduced_chi_square, _largest(uncertainty)
    if not math.isfinite(chi_square):
        return None
    white, odd = structure.white, structure.outliers.told
    too_large = known and chi_square > most
    what = "correlated" if not white else "larger than the noise" if too_large else "odd in places (outliers)"
    if white and not odd and not too_large:
        held_out = HeldOut(problem)
        error = held_out.of(coordinates)
        if held_out.within_noise(error, uncertainty.residual_freedom):
            told = f"reduced χ² {chi_square:.3g}, by chance at most {most:.3g}; " if known else ""
            return Verdict("consistent", f"{told}residuals are white")
        what = f"white, but the held-out error is {error:.3g}, where the noise has 1"
    if (search := TermSearch.of(problem, coordinates)) is None:
        return None
    here = search.near(coordinates)
    if of_grid is not None and (share := _share_of(of_grid, here, known=known)) > _MOST:
        return Verdict("grid", f"a finer grid takes {100 * share:.0f} % of the misfit")
    certain = too_large and not white and chi_square > _TOO_LARGE**2
    if not certain and not _follows_states(search, problem, here, structure.noise):
        if not known and _are_smooth(structure):
            size = percent(_size_in_data(here, problem))
            return Verdict("physics", f"residuals are smooth in time and in space, and {size} of {_UNIT}; {_NO_TERM}")
        size = "" if known else _as_noise(here, problem)
        return Verdict("noise model", f"residuals are {what}; {_NO_TERM}{size}")
    found = search.run(coordinates) if look_for_terms else None
    if found is None:
        return Verdict("physics", "residuals follow the states or the place")
    terms, there = found
    return Verdict("physics", f"{terms.words}: {terms.fall}", terms, there)


def _largest(uncertainty: Uncertainty) -> float:
    """A reduced χ² that is larger is hardly chance."""
    return 1 + _DEVIATIONS * math.sqrt(2 / max(uncertainty.residual_freedom, 1.0))


def _as_noise(here: TermEstimate, problem: InverseProblem) -> str:
    """How large a noise of unknown size would be: whoever measured knows better whether it is one."""
    return (
        f". Such noise would be {percent(_size_in_data(here, problem))} of {_UNIT}: if what was measured is better "
        "than that, the equation or a wall is wrong, in a way that the terms do not have"
    )


def _size_in_data(here: TermEstimate, problem: InverseProblem) -> float:
    """Of the residuals, in standard deviations of the data."""
    return math.sqrt(here.reduced_chi_square) * problem.data.scale * NOISE_FREE_SIGMA


def _are_smooth(structure: ResidualStructure) -> bool:
    """Whether neighbours in time and neighbours in space differ too little for a noise of half the residuals' size."""
    least = 1 - 1 / _TOO_LARGE**2
    both = (structure.time, structure.space)
    return all(part is not None and part.told and part.correlation > least for part in both)


def _share_of(of_grid: Tensor, here: TermEstimate, *, known: bool) -> float:
    """The part of the squares beyond the noise that goes with the error of the grid, the unknowns fitted anew."""
    own = torch.cat([here.jacobian, here.prior])
    inverse, _ = inverse_root(own)

    def left(residual: Tensor) -> float:
        whole = torch.cat([residual, here.prior_residual])
        return float((whole - own @ (inverse @ (inverse.T @ (own.T @ whole)))).square().sum())

    noise = here.uncertainty.residual_freedom if known else 0.0
    chance = _DEVIATIONS * math.sqrt(2 * noise)
    before, after = left(here.residual) - noise, left(here.residual - of_grid.cpu()) - noise
    return min(1 - after / before, 1.0) if before > chance else 0.0


def _follows_states(
    search: TermSearch, problem: InverseProblem, here: TermEstimate, noise: CorrelatedNoise | None
) -> bool:
    """Whether a term of the library tells the residuals, more than noise of their correlation would let it."""
    directions, gains = search.directions((), here)
    known, chi_square = problem.data.known_noise, here.reduced_chi_square
    variance = torch.full_like(gains, max(chi_square, 1.0) if known else chi_square)
    if noise is not None:
        places, noisy = Places.of(problem.data, problem.steps), problem.data.noisy(problem.steps)
        if noisy is not None:
            directions, places = directions[noisy.cpu()], places.select(noisy.cpu())
        squares = directions.square().sum(dim=0).clamp_min(1e-300)
        correlated = 1 + (directions * noise.off_diagonal(places, directions)).sum(dim=0) / squares
        variance = noise.variance * correlated.clamp_min(1e-3) * (1.0 if known else chi_square)
    p = torch.special.erfc((gains / variance / 2).sqrt())
    beyond = float(here.residual.square().sum()) - (here.uncertainty.residual_freedom if known else 0.0)
    told = (p * len(gains) < _SIGNIFICANT) | ((gains > _TERM * beyond) & (chi_square > _largest(here.uncertainty)))
    return bool(told.any())
