"""Wiring of the evaluation, for the trainings of a pipeline."""

from collections.abc import Sequence

from kedro.pipeline import Pipeline, node, pipeline

from hyco.pipelines.evaluation import nodes

# The final models of each training, by method.
_MODELS = {
    "synthetic": {"synthetic": "synthetic_model"},
    "physical": {"physical": "physical_model"},
    "hybrid": {"hybrid_synthetic": "hybrid_synthetic_model", "hybrid_physical": "hybrid_physical_model"},
}


def create_pipeline(trainings: Sequence[str]) -> Pipeline:
    """From final models to the report and its figures.

    Args:
        trainings: those whose models are compared: "synthetic", "physical", "hybrid".
    """
    models = {method: name for training in trainings for method, name in _MODELS[training].items()}
    histories = {training: f"{training}_metrics" for training in trainings}
    with_physics = {training: name for training, name in histories.items() if training != "synthetic"}
    starts = {f"{t}_initial_states": f"{t}_initial_states" for t in trainings if t != "synthetic"}
    sections = {"physical_section": "params:physical", "hybrid_section": "params:hybrid"}
    parts = [
        node(
            nodes.roll_out_test_simulations,
            {
                "trajectories": "trajectories",
                "observations": "observations",
                "equation": "params:equation",
                "generation": "params:generation",
                "observation": "params:observation",
                "seed": "params:seed",
                **starts,
                **models,
            },
            "rollouts",
            name="roll_out_test_simulations",
        ),
        node(
            nodes.make_report,
            {
                "rollouts": "rollouts",
                "experiment": "params:experiment",
                "seed": "params:seed",
                "equation": "params:equation",
                **sections,
                **models,
            },
            "report",
            name="make_report",
        ),
        node(nodes.make_table, "report", "report_table", name="make_table"),
        node(nodes.make_profile, models, "profile", name="make_profile"),
        node(nodes.make_profile_page, "profile", "profile_page", name="make_profile_page"),
        node(
            nodes.plot_training_curves,
            {"observations": "observations", **histories},
            "training_curves",
            name="plot_training_curves",
        ),
        node(nodes.plot_rollout_error, ["report", "params:equation"], "rollout_error", name="plot_rollout_error"),
        node(nodes.plot_predictions, ["rollouts", "params:evaluation"], "predictions", name="plot_predictions"),
        node(nodes.animate_predictions, ["rollouts", "params:evaluation"], "animation", name="animate_predictions"),
    ]
    if with_physics:
        physical = {method: name for method, name in models.items() if method.endswith("physical")}
        parts += [
            node(
                nodes.plot_parameter_estimates,
                {"observations": "observations", "equation": "params:equation", **sections, **with_physics},
                "parameter_estimates",
                name="plot_parameter_estimates",
            ),
            node(
                nodes.collect_parameter_fields,
                {"observations": "observations", "equation": "params:equation", **physical},
                "parameter_fields",
                name="collect_parameter_fields",
            ),
            node(
                nodes.plot_parameter_fields,
                {"parameter_fields": "parameter_fields", "observations": "observations"},
                "parameter_fields_figure",
                name="plot_parameter_fields",
            ),
            node(nodes.plot_identifiability, physical, "identifiability", name="plot_identifiability"),
            node(nodes.plot_profiles, physical, "profiles", name="plot_profiles"),
            node(
                nodes.plot_residuals, {"observations": "observations", **physical}, "residuals", name="plot_residuals"
            ),
            node(nodes.plot_residual_correlation, physical, "residual_correlation", name="plot_residual_correlation"),
        ]
    return pipeline(parts, tags="evaluate")
