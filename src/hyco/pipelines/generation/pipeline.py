"""Wiring of the data: trajectories, then observations."""

from kedro.pipeline import Pipeline, node, pipeline

from hyco.pipelines.generation.nodes import generate_trajectories, observe_trajectories


def create_pipeline() -> Pipeline:
    """From the equation to the observations."""
    return pipeline(
        [
            node(
                generate_trajectories,
                ["cached_trajectories", "params:equation", "params:generation", "params:seed"],
                "trajectories",
                name="generate_trajectories",
            ),
            node(
                observe_trajectories,
                ["trajectories", "cached_observations", "params:observation", "params:seed"],
                "observations",
                name="observe_trajectories",
            ),
        ],
        tags="train",
    )
