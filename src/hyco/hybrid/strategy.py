"""What the loop of a hybrid asks of a strategy: who learns from whom, how much, and when."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from torch import Tensor

from hyco.hybrid.choice import Choice
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.models import HybridModels
from hyco.hybrid.variances import Weights
from hyco.hybrid.weighting import Scores, Weighting
from hyco.inversion.optimisers.result import OptimisationResult
from hyco.inversion.targets import SyntheticTargets
from hyco.runtime.storage import Bundle
from hyco.training.run import Metrics
from hyco.training.windows import Predict

# Rolls out the updated network; None where that is not finite.
MakeTargets = Callable[[], SyntheticTargets | None]

REAL_ALONE = Weights(1.0, 1.0)


@dataclass(frozen=True)
class StrategyState:
    """What changes of a strategy, beside its weighting.

    Attributes:
        weights: those that the last epoch was done with.
        optimum: coordinates `[q]` of the physical model's optimum on real data alone; None: not kept.
    """

    weights: Weights = REAL_ALONE
    optimum: Tensor | None = None


class HybridStrategy(ABC):
    """The answers to what the loop asks; one kind of hybrid each.

    Args:
        models: both.
        config: of the hybrid.
        weighting: weights of the epochs after the warm-up.

    Attributes:
        updates_physics: whether there are updates of the physical model in the epochs.
        choice: why it is this one; None: it was said.
        fit: of the physical model to real data alone, where it was done for the choice: the outcome; else None.
    """

    updates_physics: ClassVar[bool] = True

    def __init__(self, models: HybridModels, config: HybridConfig, weighting: Weighting) -> None:
        self.models, self.config, self.weighting = models, config, weighting
        self._state = StrategyState()
        self.choice: Choice | None = None
        self.fit: OptimisationResult | None = None

    def begin(self) -> OptimisationResult | None:
        """Do what is before the first epoch; the outcome of a fit that all else rests on, None: there is none."""
        return None

    def weights(self, epoch: int) -> Weights:
        """Weight of the real data for each model in an epoch, counted from 1."""
        return REAL_ALONE if epoch <= self.config.warmup_epochs else self.weighting.weights()

    def changes_teachers(self, weights: Weights) -> bool:
        """Whether the averages that the network's optimiser keeps of its gradients end before such an epoch."""
        return False

    def shares_initial_states(self, weights: Weights) -> bool:
        """Whether the network starts from the physical model's estimates of unknown initial states.

        Only where it learns from the physical model at all: α = 1 is the network alone.
        """
        return weights.network < 1

    def fills_with(self, weights: Weights) -> Predict:
        """The rollout that fills unobserved window starts: that of the better model, if the network may know it."""
        physics = weights.network < 1 and self.weighting.physics_is_better
        return self.models.physical.model.rollout if physics else self.models.synthetic.rollout

    @abstractmethod
    def update(self, alpha: float, make_targets: MakeTargets) -> OptimisationResult | None:
        """Update the physical model, in an epoch in which that is due.

        Args:
            alpha: weight of the real data.
            make_targets: gives the updated network's predictions.

        Returns:
            The outcome; None where the update was left out or taken back.
        """

    def finish_epoch(self, weights: Weights) -> Metrics:
        """Take note of the weights that an epoch was done with; its metrics of them."""
        self._state = replace(self._state, weights=weights)
        return {"alpha": weights.network, **self.weighting.metrics(weights)}

    def validated(self, scores: Scores | None) -> Metrics:
        """Learn how good both models are, where a validation is due: see `Weighting.validated`."""
        return self.weighting.validated(scores)

    def summary(self) -> dict[str, Any]:
        """What the reports of both final models say of what they learnt from.

        `alpha` {`rule`, and the last weight of `synthetic` and of `physical`}, `interaction`, `sequential`, and, where
        it was chosen, `strategy` {`chosen`, `why`}.
        """
        config, weights = self.config, self._state.weights
        physical = weights.physics if self.updates_physics else 1.0
        chosen = {} if self.choice is None else {"strategy": self.choice.to_json()}
        return {
            **chosen,
            "alpha": {"rule": config.alpha, "synthetic": weights.network, "physical": physical},
            "interaction": config.interaction.summary(),
            "sequential": config.sequential,
        }

    def state(self) -> Bundle:
        """Everything that changes during training, and the `summary`."""
        optimum = self._state.optimum
        metadata = {
            "weights": asdict(self._state.weights),
            "weighting": self.weighting.state(),
            "summary": self.summary(),
        }
        return Bundle({} if optimum is None else {"optimum": optimum}, metadata)

    def load(self, state: Bundle) -> None:
        """Go on from a `state`."""
        self._state = StrategyState(Weights(**state.metadata["weights"]), state.tensors.get("optimum"))
        self.weighting.load(state.metadata["weighting"])

    def _calibrate(self) -> OptimisationResult:
        """Fit the physical model to real data alone, to the end, where that is not done yet."""
        if self.fit is not None:
            return self.fit
        with self.models.clock.phase("physical"):
            return self.models.physical.calibrate(self.config.calibration)
