"""What every optimiser returns: a status, why it stopped, and the best point that it evaluated."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phi import math


class Status(StrEnum):
    """How an optimisation ended."""

    CONVERGED = "converged"
    ITERATION_LIMIT = "iteration_limit"
    LINE_SEARCH_FAILED = "line_search_failed"
    DIVERGED = "diverged"


@dataclass
class OptimisationResult:
    """The outcome of one optimisation.

    Attributes:
        x: the best coordinates evaluated, `[p]`; the start if nothing better was seen.
        value: the objective there (NaN if it was never finite).
        initial_value: the objective at the start.
        status: how it ended.
        reason: the same in words.
        iterations, evaluations: how much work it was.
        history: one entry per evaluation: `{"x": [...], "value": float or None}`, None where it was not finite.
        ends: where the search from each guess ended, `{"x": [...], "value": float or None, "status": …}`; empty where
            the optimiser follows one.
    """

    x: NDArray[np.float64]
    value: float
    initial_value: float
    status: Status
    reason: str
    iterations: int
    evaluations: int
    history: list[dict[str, Any]] = field(default_factory=list)
    ends: list[dict[str, Any]] = field(default_factory=list)

    @property
    def improved(self) -> bool:
        """Whether something better than the start was found."""
        return bool(np.isfinite(self.value)) and not self.value >= self.initial_value


# PhiML's exceptions, so that code which catches those of `phi.math.minimize` catches ours; `result` is an
# OptimisationResult with the names that it shares with `phi.math.SolveInfo`, and `parameters` the best values by name.
class NotConverged(math.NotConverged):  # type: ignore[misc]
    """The optimisation stopped before it converged; the best point is attached.

    Attributes:
        result: the whole outcome, `result.x` the best coordinates.
        parameters: the best parameter values by name.
    """

    def __init__(self, message: str, result: OptimisationResult, parameters: dict[str, float]) -> None:
        RuntimeError.__init__(self, message)
        self.result = result
        self.parameters = parameters


class Diverged(math.Diverged):  # type: ignore[misc]
    """The objective is not finite where the optimisation starts, or nowhere else; the last good state is attached.

    Attributes: as for `NotConverged`.
    """

    def __init__(self, message: str, result: OptimisationResult, parameters: dict[str, float]) -> None:
        RuntimeError.__init__(self, message)
        self.result = result
        self.parameters = parameters
