"""What a calibration has done so far, beside where it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from hyco.inversion.estimate import Outcome, PhysicalEstimate
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.optimisers.result import OptimisationResult, Status
from hyco.inversion.outcomes import evaluations_of

# Ends of several searches that are recorded.
_RECORDED_ENDS = 64
# Evaluations that are kept of the first ones, and as many of the last: a checkpoint must not grow for ever.
_RECORDED_EVALUATIONS = 1000


@dataclass(frozen=True)
class Progress:
    """What has been done so far.

    Attributes:
        updates: how many.
        evaluations: of the loss `[n, 1 + numbers]`, the first and the last thousand: the loss, NaN if it was not
            finite, and the numbers.
        outcome: of the last update; None before the first.
        failed: the error that the last update calls for.
        settled: whether an update on real data alone has converged and gained less than is worth going on for, or the
            search of `calibrate` has converged.
        from_predictions: whether the coordinates come from an update with the network's predictions.
        limited_by: key that limits the iterations of the last update.
        residuals, alternative_minima: at the end, see `PhysicalEstimate`.
    """

    evaluations: Tensor
    updates: int = 0
    outcome: Outcome | None = None
    failed: str | None = None
    settled: bool = False
    from_predictions: bool = False
    limited_by: str = ""
    residuals: dict[str, Tensor] = field(default_factory=dict)
    alternative_minima: list[dict[str, float]] = field(default_factory=list)

    @property
    def fits_data(self) -> bool:
        """Whether the coordinates are an optimum on data alone: the update converged, and no predictions pulled it."""
        converged = self.outcome is not None and self.outcome.status == str(Status.CONVERGED)
        return converged and not self.from_predictions

    def state(self) -> dict[str, Any]:
        """What of it no `PhysicalEstimate` has, as JSON values."""
        return {key: getattr(self, key) for key in ("updates", "failed", "settled", "limited_by")}

    @classmethod
    def of(cls, estimate: PhysicalEstimate, state: Mapping[str, Any]) -> Progress:
        """Where a calibration was that was interrupted."""
        return cls(
            estimate.evaluations,
            state["updates"],
            estimate.outcome,
            state["failed"],
            state["settled"],
            estimate.from_predictions,
            state.get("limited_by", ""),  # files of earlier versions have none
            estimate.residuals,
            estimate.alternative_minima,
        )

    def after(self, result: OptimisationResult, problem: InverseProblem) -> Progress:
        """The same with one more update."""
        outcome = Outcome(
            str(result.status),
            result.reason,
            result.iterations,
            result.evaluations,
            problem.simulations,
            [{**end, "x": end["x"][: problem.parameter_count]} for end in result.ends][:_RECORDED_ENDS],
        )
        evaluations = torch.cat([self.evaluations, evaluations_of(result, problem.forward.space)])
        if len(evaluations) > 2 * _RECORDED_EVALUATIONS:
            evaluations = torch.cat([evaluations[:_RECORDED_EVALUATIONS], evaluations[-_RECORDED_EVALUATIONS:]])
        return replace(self, updates=self.updates + 1, evaluations=evaluations, outcome=outcome)
