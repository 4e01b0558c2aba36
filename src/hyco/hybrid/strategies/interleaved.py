"""The models train each other in turns, with a fixed weight of real data (arXiv 2509.14123)."""

from __future__ import annotations

from hyco.hybrid.strategy import HybridStrategy, MakeTargets
from hyco.inversion.optimisers.result import OptimisationResult


class Interleaved(HybridStrategy):
    """Each update of the physical model is on real data (α) and on the network's predictions (1 - α)."""

    def update(self, alpha: float, make_targets: MakeTargets) -> OptimisationResult | None:
        """On real data alone where α is 1, or where the predictions are not finite."""
        targets = make_targets() if alpha < 1 else None
        with self.models.clock.phase("physical"):
            return self.models.physical.update(1.0 if targets is None else alpha, targets)
