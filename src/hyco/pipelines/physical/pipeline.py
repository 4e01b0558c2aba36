"""Wiring of the physical inversion."""

from kedro.pipeline import Pipeline, node, pipeline

from hyco.pipelines.physical.nodes import collect_initial_states, finalise_physical_model, train_physical_model


def create_pipeline() -> Pipeline:
    """From observations to a physical model."""
    return pipeline(
        [
            node(
                train_physical_model,
                [
                    "observations",
                    "physical_resume_point",
                    "physical_results",
                    "params:equation",
                    "params:generation",
                    "params:observation",
                    "params:physical",
                    "params:compute",
                    "params:seed",
                    "params:device",
                    "params:resume",
                    "params:profile",
                ],
                ["physical_checkpoint", "physical_metrics"],
                name="train_physical_model",
            ),
            node(finalise_physical_model, "physical_checkpoint", "physical_model", name="finalise_physical_model"),
            node(
                collect_initial_states,
                "physical_checkpoint",
                "physical_initial_states",
                name="collect_physical_initial_states",
            ),
        ],
        tags="train",
        namespace="physical_training",  # a group in Kedro-Viz, closed at first
        prefix_datasets_with_namespace=False,
    )
