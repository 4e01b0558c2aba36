"""Wiring of the comparison."""

from kedro.pipeline import Pipeline, node, pipeline

from hyco.pipelines.compare import nodes


def create_pipeline() -> Pipeline:
    """From parameters to the comparison, its tables and its figure."""
    sections = ("equation", "generation", "observation", "synthetic", "physical", "hybrid", "compare", "compute")
    others = ("measurements", "experiment", "seed", "device", "resume")
    files = ("comparison_resume_point", "cached_observations", "measurements", "comparison_results")
    return pipeline(
        [
            node(
                nodes.compare_methods,
                [*files, *(f"params:{name}" for name in (*sections, *others))],
                "comparison",
                name="compare_methods",
                tags="train",
            ),
            node(
                nodes.make_comparison_table,
                "comparison",
                "comparison_table",
                name="make_comparison_table",
                tags="evaluate",
            ),
            node(
                nodes.make_comparison_page,
                "comparison",
                "comparison_page",
                name="make_comparison_page",
                tags="evaluate",
            ),
            node(nodes.plot_comparison, "comparison", "comparison_figure", name="plot_comparison", tags="evaluate"),
            node(
                nodes.plot_comparison_rollouts,
                ["comparison", "params:equation"],
                "comparison_rollouts",
                name="plot_comparison_rollouts",
                tags="evaluate",
            ),
            node(
                nodes.make_comparison_report,
                ["comparison", "parameters", "comparison_figure", "comparison_rollouts", "run_command"],
                "comparison_report",
                name="make_comparison_report",
                tags="evaluate",
            ),
        ]
    )
