"""What the hybrid loop remembers from epoch to epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hyco.hybrid.trust import Variances
from hyco.runtime.storage import Bundle


@dataclass
class HybridProgress:
    """A part of the checkpoint, beside the two models.

    Attributes:
        summary: what the report says of the hybrid: `alpha`, `interaction` and `sequential`.
        interval: epochs between two physical updates, where they adapt.
        next_update: epoch of the next physical update, where they adapt and there was one.
        physics_is_better: whether the physical model predicts better, as far as is known.
        variances: error variances of both models; None: not estimated.
    """

    summary: dict[str, Any]
    interval: int
    next_update: int | None = None
    physics_is_better: bool = False
    variances: Variances | None = None

    def state(self) -> Bundle:
        """All of it as metadata."""
        variances = None if self.variances is None else self.variances.to_dict()
        return Bundle(metadata={**vars(self), "variances": variances})

    def load(self, state: Bundle) -> None:
        """Go on from a `state`."""
        meta = state.metadata
        self.summary, self.interval, self.next_update = meta["summary"], meta["interval"], meta["next_update"]
        self.physics_is_better = meta["physics_is_better"]
        self.variances = None if meta["variances"] is None else Variances.from_dict(meta["variances"])
