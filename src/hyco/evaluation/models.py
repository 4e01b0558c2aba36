"""Final models of either kind, from the files that trainings leave to what can be rolled out and reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from hyco.equations.equation import Equation
from hyco.hybrid.correction import model_from_bundle
from hyco.inversion.estimate import PhysicalEstimate
from hyco.inversion.estimated_model import EstimatedModel
from hyco.runtime.storage import Bundle
from hyco.trained_model import Time, TrainedModel

METHODS = ("persistence", "synthetic", "physical", "hybrid_synthetic", "hybrid_physical")

# A final model as the catalog holds it: a network's tensors, or a physical model as JSON values.
FinalModel = Bundle | Mapping[str, Any]


def training_of(final: FinalModel) -> dict[str, Any]:
    """What a final model's training was and what it cost, see `hyco.training.final.training_summary`."""
    training: dict[str, Any] = final.metadata["training"] if isinstance(final, Bundle) else final["training"]
    return training


def dt_of(network: Bundle, equation: Equation) -> float:
    """The time between two states that a final network predicts; one of an earlier version has none: the equation's."""
    return float(network.metadata.get("dt", equation.dt))


@dataclass(frozen=True)
class EvaluatedModel:
    """A final model with the record of its training.

    Attributes:
        model: what predicts.
        training: see `hyco.training.final.training_summary`.
        hybrid: of a hybrid, its last `alpha`, `interaction` and `sequential`; else empty.
        estimate: of a physical model, its parameters; None of a network.
    """

    model: TrainedModel
    training: dict[str, Any]
    hybrid: dict[str, Any]
    estimate: PhysicalEstimate | None = None

    @property
    def stepping(self) -> bool:
        """Whether it predicts from any state."""
        return self.model.stepping

    def rollout(self, states: Tensor, steps: int, time: Time = 0.0) -> Tensor:
        """`[B, C, *space]` at `time` to `[B, steps, C, *space]`, without gradient."""
        return self.model.rollout(states, steps, time)

    @classmethod
    def of(cls, final: FinalModel, equation: Equation) -> EvaluatedModel:
        """From its file.

        Args:
            equation: that of the data.

        Raises:
            ValueError: the file holds something else.
        """
        if isinstance(final, Bundle):
            return cls(model_from_bundle(final), training_of(final), final.metadata.get("hybrid") or {})
        estimate = PhysicalEstimate.from_json(final)
        model = EstimatedModel(estimate, equation)
        return cls(model, training_of(final), final.get("hybrid") or {}, estimate)


def evaluated_models(finals: Mapping[str, FinalModel], equation: Equation) -> dict[str, EvaluatedModel]:
    """By method; see `EvaluatedModel.of`."""
    return {method: EvaluatedModel.of(final, equation) for method, final in finals.items()}
