"""What a search for missing terms has found, as files and reports have it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from hyco.inversion.terms import Term
from hyco.runtime.words import percent

# A misfit that is left to so small a part is mostly explained.
_LITTLE = 0.25


@dataclass(frozen=True)
class FoundTerms:
    """Terms that the equation lacks, and the unknowns beside them, all of it JSON values.

    Attributes:
        terms: `field`, `formula`, `coefficient`, its `std` and `words` of each, in the order in which they were taken.
        parameters: the learnt numbers in the fit with them, as reports have them (`estimate`, `std`, `interval`, …).
        chi_square: reduced χ² without and with them.
        heldout: mean squared residuals on held-out data without and with them, in units of the noise; None where there
            are no such data.
        consistent: whether nothing is left to explain: residuals are white, and, where the noise is known, no larger
            than it, nor is the error on held-out data.
        tried: by round, the candidates that were fitted: `terms` in words, `reduced_chi_square` and `heldout`.
        known_noise: whether reduced χ² is in units of the noise.
    """

    terms: list[dict[str, Any]]
    parameters: dict[str, dict[str, Any]]
    chi_square: list[float]
    heldout: list[float] | None
    consistent: bool
    tried: list[list[dict[str, Any]]]
    known_noise: bool

    @property
    def helpful(self) -> bool:
        """Whether they take most of what the residuals have beyond the noise, and the held-out error falls."""
        before, after = self.chi_square
        noise = 1.0 if self.known_noise and before > 1 else 0.0
        less = after - noise < _LITTLE * (before - noise)
        return self.consistent or (less and (self.heldout is None or self.heldout[1] < self.heldout[0]))

    @property
    def at_walls(self) -> bool:
        """Whether any stands for a wall's condition, which a source in a cell is but for an error of first order."""
        return any(wall in term["formula"] for term in self.terms for wall in (".lower]", ".upper]"))

    @property
    def words(self) -> str:
        """Such as "a drag -0.1*u in the rate of u"."""
        return " and ".join(f"{term['words']} in the rate of {term['field']}" for term in self.terms)

    @property
    def fall(self) -> str:
        """What becomes of the misfit with them, in words; where the noise is not known, beside what it was."""
        (before, after), held_out = self.chi_square, self.heldout
        rise = held_out is not None and held_out[1] > held_out[0]
        if self.known_noise:
            words = f"reduced χ² falls from {before:.3g} to {after:.3g}"
            errors = ", the held-out error{} from {:.3g} to {:.3g}"
            return words if held_out is None else words + errors.format(" rises" * rise, *held_out)
        words = f"residuals fall to {_size(before, after)} of their size"
        errors = ", errors on held-out data{} to {}"
        return words if held_out is None else words + errors.format(" rise" * rise, _size(*held_out))

    def coefficients(self, library: Sequence[Term]) -> Tensor:
        """Of all terms of a library, `[m]`: 0 of those that were not found."""
        found = {(term["field"], term["formula"]): term["coefficient"] for term in self.terms}
        return torch.tensor([found.get((t.field, t.formula), 0.0) for t in library], dtype=torch.float64)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FoundTerms:
        """The inverse of `to_json`."""
        return cls(**data)


def _size(before: float, after: float) -> str:
    """The root of a mean square, beside what it was."""
    return percent(math.sqrt(after / before) if before > 0 else math.inf)
