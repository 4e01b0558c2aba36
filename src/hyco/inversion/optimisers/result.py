"""What every optimiser returns: a status, why it stopped, and the best point that it evaluated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phi import math as phi_math


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

    def to_json(self) -> dict[str, Any]:
        """As JSON values, to the bit; a value that is not finite is None."""
        values = {key: _finite(getattr(self, key)) for key in ("value", "initial_value")}
        return {**asdict(self), **values, "x": self.x.tolist(), "status": str(self.status)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> OptimisationResult:
        """The inverse of `to_json`."""
        values = {key: math.nan if data[key] is None else data[key] for key in ("value", "initial_value")}
        x = np.asarray(data["x"], dtype=np.float64)
        return cls(**{**data, **values, "x": x, "status": Status(data["status"])})


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def best_of(results: Sequence[OptimisationResult]) -> OptimisationResult:
    """The best of several searches on one objective, with the work, the history and the ends of all."""
    best = min(results, key=lambda result: result.value if math.isfinite(result.value) else math.inf)
    ends = []
    for r in results:
        ends += r.ends or [{"x": r.x.tolist(), "value": _finite(r.value), "status": str(r.status)}]
    return replace(
        best,
        initial_value=results[0].initial_value,
        iterations=max(r.iterations for r in results),
        evaluations=sum(r.evaluations for r in results),
        history=[entry for r in results for entry in r.history],
        ends=ends,
    )


# PhiML's exceptions, so that code which catches those of `phi.math.minimize` catches ours; `result` is an
# OptimisationResult with the names that it shares with `phi.math.SolveInfo`, and `parameters` the best values by name.
class NotConverged(phi_math.NotConverged):  # type: ignore[misc]
    """The optimisation stopped before it converged; the best point is attached.

    Attributes:
        result: the whole outcome, `result.x` the best coordinates.
        parameters: the best parameter values by name.
    """

    def __init__(self, message: str, result: OptimisationResult, parameters: dict[str, float]) -> None:
        RuntimeError.__init__(self, message)
        self.result = result
        self.parameters = parameters


class Diverged(phi_math.Diverged):  # type: ignore[misc]
    """The objective is not finite where the optimisation starts, or nowhere else; the last good state is attached.

    Attributes: as for `NotConverged`.
    """

    def __init__(self, message: str, result: OptimisationResult, parameters: dict[str, float]) -> None:
        RuntimeError.__init__(self, message)
        self.result = result
        self.parameters = parameters
