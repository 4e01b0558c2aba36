"""How much real data weigh in a hybrid, against the other model's predictions: a number, or what is measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hyco.hybrid.models import HybridModels
from hyco.hybrid.variances import Variances, Weights
from hyco.training.run import Metrics


@dataclass(frozen=True)
class Scores:
    """Relative errors of both models on the validation simulations, see `Validation`."""

    synthetic: float
    physical: float


@dataclass(frozen=True)
class WeightingState:
    """Results of the validations so far.

    Attributes:
        physics_is_better: whether the physical model predicts better than the network.
        variances: of both models' errors; None: not measured.
        updates: of the physical model before they were measured.
    """

    physics_is_better: bool = False
    variances: Variances | None = None
    updates: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        variances = None if self.variances is None else self.variances.to_dict()
        return {"physics_is_better": self.physics_is_better, "variances": variances, "updates": self.updates}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> WeightingState:
        """The inverse of `to_dict`."""
        variances = stored["variances"]
        measured = None if variances is None else Variances.from_dict(variances)
        return cls(stored["physics_is_better"], measured, stored.get("updates", 0))


class Weighting(ABC):
    """The weight α of the real data for each model, once the warm-up is over."""

    def __init__(self, models: HybridModels) -> None:
        self.models = models
        self._state = WeightingState()

    @property
    def physics_is_better(self) -> bool:
        """Whether the physical model predicted better when that was last looked at."""
        return self._state.physics_is_better

    @abstractmethod
    def weights(self) -> Weights:
        """Those of an epoch that now begins."""

    @abstractmethod
    def validated(self, scores: Scores | None) -> Metrics:
        """Look at how good both models are now.

        Args:
            scores: None: there are no validation simulations.

        Returns:
            What was measured for it.
        """

    def metrics(self, weights: Weights) -> Metrics:
        """What an epoch with these weights shows of them beside the network's."""
        return {}

    def state(self) -> dict[str, Any]:
        """Everything that changes during training, as JSON values."""
        return self._state.to_dict()

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self._state = WeightingState.from_dict(state)


class FixedAlpha(Weighting):
    """The same number for both models, in every epoch."""

    def __init__(self, models: HybridModels, alpha: float) -> None:
        super().__init__(models)
        self.alpha = alpha

    def weights(self) -> Weights:
        """The number, twice."""
        return Weights(self.alpha, self.alpha)

    def validated(self, scores: Scores | None) -> Metrics:
        """Which model has the smaller error, on the training simulations where there are no others."""
        models = self.models
        if scores is not None:
            self._state = WeightingState(scores.physical < scores.synthetic)
        elif models.needs_filling:
            with models.clock.phase("validation"):
                training = models.trust.training
                self._state = WeightingState(training(models.physical.model) < training(models.synthetic))
        return {}


class MeasuredAlpha(Weighting):
    """`alpha: auto`: a number for each model, from the error variances of both."""

    def weights(self) -> Weights:
        """Those of the variances that were measured last, or now where the physical model has been updated since."""
        variances = self._state.variances
        if variances is None or self._state.updates != self.models.physical.updates:
            variances = self._measure()
        return variances.weights

    def validated(self, scores: Scores | None) -> Metrics:
        """Measure both variances."""
        variances = self._measure()
        return {"variance_synthetic": variances.synthetic, "variance_physical": variances.physical}

    def metrics(self, weights: Weights) -> Metrics:
        """The physical model's weight, which is another than the network's."""
        return {"alpha_physical": weights.physics}

    def _measure(self) -> Variances:
        models = self.models
        with models.clock.phase("validation"):
            variances = models.trust.variances(models.synthetic, models.physical)
        self._state = WeightingState(variances.physics_is_better, variances, models.physical.updates)
        return variances
