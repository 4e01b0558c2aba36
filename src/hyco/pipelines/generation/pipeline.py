"""Wiring of the data: trajectories, then observations; or observations of a file of measurements."""

from kedro.pipeline import Pipeline, node, pipeline

from hyco.pipelines.generation.nodes import generate_trajectories, make_observations


def create_pipeline() -> Pipeline:
    """From the equation, or a file of measurements, to the observations."""
    return pipeline(
        [
            node(
                generate_trajectories,
                [
                    "cached_trajectories",
                    "cached_observations",
                    "params:equation",
                    "params:generation",
                    "params:measurements",
                    "params:seed",
                    "params:compute",
                    "generation_results",
                ],
                "trajectories",
                name="generate_trajectories",
            ),
            node(
                make_observations,
                [
                    "trajectories",
                    "cached_observations",
                    "measurements",
                    "params:equation",
                    "params:measurements",
                    "params:observation",
                    "params:seed",
                ],
                "observations",
                name="make_observations",
            ),
        ],
        tags="train",
        namespace="data",  # a group in Kedro-Viz, closed at first
        prefix_datasets_with_namespace=False,
    )
