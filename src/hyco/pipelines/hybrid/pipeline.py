"""Wiring of the hybrid training."""

from kedro.pipeline import Pipeline, node, pipeline

from hyco.pipelines.hybrid.nodes import finalise_hybrid_models, predict_for_the_other, train_hybrid_models
from hyco.pipelines.physical.nodes import collect_initial_states


def create_pipeline() -> Pipeline:
    """From observations to a synthetic and a physical model that trained each other."""
    return pipeline(
        [
            node(
                train_hybrid_models,
                [
                    "observations",
                    "hybrid_resume_point",
                    "params:equation",
                    "params:generation",
                    "params:observation",
                    "params:synthetic",
                    "params:physical",
                    "params:hybrid",
                    "params:seed",
                    "params:device",
                    "params:resume",
                    "params:profile",
                ],
                ["hybrid_checkpoint", "hybrid_metrics"],
                name="train_hybrid_models",
            ),
            node(
                finalise_hybrid_models,
                "hybrid_checkpoint",
                ["hybrid_synthetic_model", "hybrid_physical_model"],
                name="finalise_hybrid_models",
            ),
            node(
                collect_initial_states,
                "hybrid_checkpoint",
                "hybrid_initial_states",
                name="collect_hybrid_initial_states",
            ),
            # Also of the evaluation: of models that an earlier version has trained there are no such predictions.
            *(
                node(
                    predict_for_the_other,
                    [f"hybrid_{model}_model", "hybrid_initial_states", "params:equation", "params:hybrid"],
                    f"{name}_for_{other}",
                    name=f"{name}_teaches_{other}",
                    tags="evaluate",
                )
                for model, name, other in (("physical", "physics", "network"), ("synthetic", "network", "physics"))
            ),
        ],
        tags="train",
        namespace="hybrid_training",  # a group in Kedro-Viz, closed at first
        prefix_datasets_with_namespace=False,
    )
