"""Wiring of the synthetic training."""

from kedro.pipeline import Pipeline, node, pipeline

from hyco.pipelines.synthetic.nodes import finalise_synthetic_model, train_synthetic_model


def create_pipeline() -> Pipeline:
    """From observations to a synthetic model."""
    return pipeline(
        [
            node(
                train_synthetic_model,
                [
                    "observations",
                    "synthetic_resume_point",
                    "params:equation",
                    "params:generation",
                    "params:observation",
                    "params:synthetic",
                    "params:seed",
                    "params:device",
                    "params:resume",
                    "params:profile",
                ],
                ["synthetic_checkpoint", "synthetic_metrics"],
                name="train_synthetic_model",
            ),
            node(finalise_synthetic_model, "synthetic_checkpoint", "synthetic_model", name="finalise_synthetic_model"),
        ],
        tags="train",
        namespace="synthetic_training",  # a group in Kedro-Viz, closed at first
        prefix_datasets_with_namespace=False,
    )
