"""Train both models together, and make the final ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyco.evaluation.models import FinalModel
    from hyco.runtime.storage import Bundle


def train_hybrid_models(
    observations: Bundle,
    resume_point: Bundle | None,
    equation: dict[str, Any],
    generation: dict[str, Any],
    observation: dict[str, Any],
    synthetic: dict[str, Any],
    physical: dict[str, Any],
    hybrid: dict[str, Any],
    seed: int,
    device: str,
    resume: bool,
    profile: bool,
) -> Iterator[tuple[Bundle, dict[str, Any]]]:
    """Yield a checkpoint of both models and live metrics after each interleaved epoch.

    Raises:
        NotConverged, Diverged: from a physical update, see `hyco.training.physical`.
    """
    from hyco.config import depends_on, identity, parse_device, resolve_hybrid
    from hyco.equations.registry import build_equation
    from hyco.hybrid.choice import Choice
    from hyco.hybrid.config import HybridConfig
    from hyco.hybrid.trainer import HybridTrainer
    from hyco.observations import Observations, in_memory

    resolved = resolve_hybrid(hybrid, synthetic, physical)
    sections = {
        "equation": equation,
        "generation": generation,
        "observation": observation,
        "synthetic": synthetic,
        "physical": physical,
        "hybrid": hybrid,
        "seed": seed,
    }
    trainer = HybridTrainer(
        build_equation(equation),
        in_memory(Observations.from_bundle(observations)),
        HybridConfig.model_validate(resolved),
        seed,
        configuration=depends_on("hybrid", sections, identity(observations)),
        device=parse_device(device),
        profile=profile,
        choice=Choice.of(resume_point) if resume else None,
    )
    yield from trainer.train(resume_point, resume)


def finalise_hybrid_models(checkpoint: Bundle) -> tuple[Bundle, dict[str, Any]]:
    """The network of the best validated epoch, and the last estimates, each with the cost of the training."""
    from hyco.training.final import final_physical_model, final_synthetic_model

    return final_synthetic_model(checkpoint), final_physical_model(checkpoint)


def predict_for_the_other(
    model: FinalModel, initial_states: Bundle, equation: dict[str, Any], hybrid: dict[str, Any]
) -> Bundle:
    """What one model of a hybrid gives the other to learn from, as it does in every epoch: its rollout.

    Args:
        model: either final model.
        initial_states: of the training simulations.
        equation: section of the data's equation.
        hybrid: section of the hybrid.

    Returns:
        `predictions` `[1, T, C, *space]`, of the first training simulation from t = 0 on, as long as the rollouts of
        an epoch. Metadata: `layout` and `dt` of the data; `simulation`, whose start it is; `weight` (1 - α), which
        such predictions had in the other model's last epoch.
    """
    from hyco.equations.registry import build_equation
    from hyco.evaluation.models import EvaluatedModel
    from hyco.hybrid.config import HybridConfig
    from hyco.runtime.storage import Bundle

    known = initial_states.metadata
    asked = hybrid.get("num_predict_steps", HybridConfig.model_fields["num_predict_steps"].default)
    evaluated = EvaluatedModel.of(model, build_equation(equation))
    predictions = evaluated.rollout(initial_states.tensors["initial_states"][:1], min(asked, known["steps"]))
    other = "physical" if evaluated.estimate is None else "synthetic"
    metadata = {
        "kind": "exchange",
        "layout": known["layout"],
        "dt": known["dt"],
        "simulation": known["train"][0],
        "weight": 1.0 - evaluated.hybrid["alpha"][other],
    }
    return Bundle({"predictions": predictions}, metadata)
