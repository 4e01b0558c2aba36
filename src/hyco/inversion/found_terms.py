"""What a search for missing terms has found, as files and reports have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from hyco.inversion.terms import Term

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
    def words(self) -> str:
        """Such as "a drag -0.1*u in the rate of u"."""
        return " and ".join(f"{term['words']} in the rate of {term['field']}" for term in self.terms)

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
