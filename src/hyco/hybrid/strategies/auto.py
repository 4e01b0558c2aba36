"""`alpha: auto`: each model learns from the other as far as that is to be trusted, and neither may be harmed."""

from __future__ import annotations

import logging
from dataclasses import replace

from torch import Tensor

from hyco.hybrid.strategy import HybridStrategy, MakeTargets
from hyco.hybrid.variances import Weights
from hyco.inversion.optimisers.result import OptimisationResult
from hyco.inversion.targets import SyntheticTargets

log = logging.getLogger(__name__)


class Auto(HybridStrategy):
    """The physical model is first optimised on real data alone, until nothing is left to gain.

    Predictions of the network enter only where the network validates better (see `hyco.hybrid.variances`), and what
    comes of them is kept only if it validates better.
    """

    @property
    def optimum(self) -> Tensor | None:
        """Coordinates `[q]` of the physical model's optimum on real data alone; None before its first update."""
        return self._state.optimum

    def changes_teachers(self, weights: Weights) -> bool:
        """Where the network begins, or ceases, to learn from the physical model.

        Gradients of noisy data, and of predictions of another length, are of another size: to a step that is scaled by
        the averages of those, new ones would long be too small.
        """
        return (weights.network < 1) != (self._state.weights.network < 1)

    def update(self, alpha: float, make_targets: MakeTargets) -> OptimisationResult | None:
        """On real data alone, then with the network's predictions, which are taken back where they do no good.

        None where nothing is left to gain on real data, and predictions have no weight.
        """
        result = self._update_alone()
        # Where real data alone have just moved the parameters, the weight is that of what they were before.
        targets = make_targets() if alpha < 1 and result is None else None
        return result if targets is None else self._try(alpha, targets)

    def _update_alone(self) -> OptimisationResult | None:
        """Go on from the optimum on real data alone; None where that is settled."""
        physical, result = self.models.physical, None
        with self.models.clock.phase("physical"):
            if self.optimum is not None:
                physical.place(self.optimum)
            if not physical.settled:
                result = physical.update(to_the_end=True)
            self._state = replace(self._state, optimum=physical.model.coordinates.clone())
        return result

    def _try(self, alpha: float, targets: SyntheticTargets) -> OptimisationResult | None:
        """An update with predictions; None where it was taken back."""
        physical, trust = self.models.physical, self.models.trust
        with self.models.clock.phase("physical"):
            snapshot, before = physical.snapshot(), trust.of_physics(physical)
            result = physical.update(alpha, targets)
            if trust.is_better(trust.of_physics(physical), than=before):
                return result
            physical.restore(snapshot)
        log.info("The network's predictions do not help the physical model: its parameters stay as they were.")
        return None
