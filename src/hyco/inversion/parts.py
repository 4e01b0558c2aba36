"""Parts of one inversion that know nothing of each other, and who does them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from hyco.inversion.optimisers.result import OptimisationResult
from hyco.inversion.profile_curve import ProfileFound
from hyco.runtime.storage import Bundle

if TYPE_CHECKING:
    from hyco.inversion.inverse_problem import InverseProblem


@dataclass(frozen=True)
class SearchOptions:
    """What one search minimises, and when it ends.

    Attributes:
        steps: horizon of the data.
        alpha: weight of the real data.
        abs_tol, rel_tol, max_iterations: see `Minimiser.minimise`.
    """

    steps: int
    alpha: float
    abs_tol: float
    rel_tol: float
    max_iterations: int


class Parts(Protocol):
    """Who does parts of an inversion elsewhere; all numbers are those of this process, to the bit.

    Both count what was computed as work of the problem.
    """

    def searches(
        self,
        problem: InverseProblem,
        batches: Sequence[Tensor],
        options: SearchOptions,
        information: Tensor | None,
    ) -> list[OptimisationResult]:
        """Searches from batches of guesses `[K, q]` each, on real data alone.

        Args:
            problem: as it is now.
            information: see `Search`.
        """

    def profiles(
        self,
        problem: InverseProblem,
        state: Callable[[], Bundle],
        numbers: Sequence[int],
        minima: Sequence[Tensor],
        budget: float,
    ) -> list[ProfileFound]:
        """Profile likelihoods of learnt numbers.

        Args:
            problem: as it is now.
            state: makes that of its `Calibrator`, which is assessed.
            numbers: their coordinates.
            minima: see `hyco.inversion.profile.profiled`.
            budget: see `hyco.inversion.profile.profile_of`.
        """
