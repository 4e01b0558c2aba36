"""One after the other: first the physical model on real data alone, then the network on its predictions."""

from __future__ import annotations

from typing import ClassVar

from hyco.hybrid.strategy import HybridStrategy, MakeTargets
from hyco.inversion.optimisers.result import OptimisationResult


class Sequential(HybridStrategy):
    """The physical model is fitted to real data before the first epoch, and stays; the network alone learns from it."""

    updates_physics: ClassVar[bool] = False

    def begin(self) -> OptimisationResult | None:
        """The fit."""
        return self._calibrate()

    def update(self, alpha: float, make_targets: MakeTargets) -> OptimisationResult | None:
        """None: the physical model stays as it is."""
        return None
