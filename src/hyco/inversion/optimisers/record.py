"""What an optimiser has evaluated, and the result made of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from hyco.inversion.optimisers.result import OptimisationResult, Status


class Record:
    """Counts all evaluations and remembers the best."""

    def __init__(self) -> None:
        self._history: list[dict[str, Any]] = []

    def add(self, z: Tensor, values: Tensor) -> None:
        """Take note of points `[K, q]` and their values `[K]`; one that is not finite counts as no value."""
        for point, value in zip(z.tolist(), values.tolist(), strict=True):
            self._history.append({"x": point, "value": value if np.isfinite(value) else None})

    def result(self, status: Status, reason: str, iterations: int) -> OptimisationResult:
        """The best point that was evaluated; the first one, as diverged, where no value was finite.

        Args:
            reason: the status in words.
        """
        finite = [entry for entry in self._history if entry["value"] is not None]
        best = min(finite, key=lambda entry: float(entry["value"])) if finite else {**self._history[0], "value": np.nan}
        first = self._history[0]["value"]
        return OptimisationResult(
            x=np.asarray(best["x"], dtype=np.float64),
            value=best["value"],
            initial_value=np.nan if first is None else first,
            status=status if finite else Status.DIVERGED,
            reason=reason if finite else "the objective is not finite",
            iterations=iterations,
            evaluations=len(self._history),
            history=self._history,
        )
