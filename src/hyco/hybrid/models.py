"""Both models of a hybrid, and what they are measured and timed with."""

from __future__ import annotations

from dataclasses import dataclass

from hyco.hybrid.interaction import FreshTrajectories
from hyco.hybrid.trust import Trust
from hyco.inversion.calibrator import Calibrator
from hyco.runtime.monitoring import PhaseClock
from hyco.training.network_trainer import NetworkTrainer
from hyco.training.validation import Validation


@dataclass(frozen=True)
class HybridModels:
    """What the loop and its strategy work with.

    Attributes:
        synthetic, physical: each model with its training.
        fresh: trajectories from fresh initial states; None: there are none.
        validate: relative errors on the validation simulations.
        trust: error variances.
        clock: adds up what each phase takes.
    """

    synthetic: NetworkTrainer
    physical: Calibrator
    fresh: FreshTrajectories | None
    validate: Validation
    trust: Trust
    clock: PhaseClock

    @property
    def needs_filling(self) -> bool:
        """Whether a model's rollout stands in for states that were not observed."""
        fresh = self.fresh is not None and not self.fresh.starts.pool.complete
        return fresh or not self.synthetic.starts.complete
