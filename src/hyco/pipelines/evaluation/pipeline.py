"""Wiring of the evaluation, for the trainings of a pipeline."""

from collections.abc import Sequence

from kedro.pipeline import Pipeline, node, pipeline

from hyco.pipelines.evaluation import figures, nodes

# The final models of each training, by method.
_MODELS = {
    "synthetic": {"synthetic": "synthetic_model"},
    "physical": {"physical": "physical_model"},
    "hybrid": {"hybrid_synthetic": "hybrid_synthetic_model", "hybrid_physical": "hybrid_physical_model"},
}

# Figures on the page; some have another name in the catalog, as there is a dataset of that name.
_FIGURES = (
    "measurements",
    "parameter_estimates",
    "profiles",
    "identifiability",
    "parameter_fields",
    "rollout_error",
    "predictions",
    "spectra",
    "residuals",
    "residual_correlation",
    "training_curves",
    "exchange",
)
_DATASETS = {"measurements": "measurements_figure", "parameter_fields": "parameter_fields_figure"}


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
            figures.plot_training_curves,
            {"observations": "observations", **histories},
            "training_curves",
            name="plot_training_curves",
        ),
        node(
            figures.plot_rollout_error,
            ["report", "observations", "rollouts", "params:equation"],
            "rollout_error",
            name="plot_rollout_error",
        ),
        node(
            figures.plot_predictions,
            ["rollouts", "observations", "params:evaluation"],
            "predictions",
            name="plot_predictions",
        ),
        node(figures.plot_spectra, ["rollouts", "observations", "params:evaluation"], "spectra", name="plot_spectra"),
        node(figures.animate_predictions, ["rollouts", "params:evaluation"], "animation", name="animate_predictions"),
    ]
    if "hybrid" in trainings:
        given = ["physics_for_network", "network_for_physics"]
        seen = ["observations", "params:evaluation"]
        parts.append(node(figures.plot_exchange, [*given, *seen], "exchange", name="plot_exchange"))
    if with_physics:
        physical = {method: name for method, name in models.items() if method.endswith("physical")}
        parts += [
            node(
                figures.plot_parameter_estimates,
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
                figures.plot_parameter_fields,
                {
                    "parameter_fields": "parameter_fields",
                    "observations": "observations",
                    "equation": "params:equation",
                },
                "parameter_fields_figure",
                name="plot_parameter_fields",
            ),
            node(figures.plot_identifiability, physical, "identifiability", name="plot_identifiability"),
            node(
                figures.plot_profiles,
                {"observations": "observations", "equation": "params:equation", **physical},
                "profiles",
                name="plot_profiles",
            ),
            node(
                figures.plot_residuals, {"observations": "observations", **physical}, "residuals", name="plot_residuals"
            ),
            node(
                figures.plot_residual_correlation,
                {"observations": "observations", **physical},
                "residual_correlation",
                name="plot_residual_correlation",
            ),
        ]
    parts.append(node(figures.plot_measurements, "observations", "measurements_figure", name="plot_measurements"))
    made = set().union(*(part.outputs for part in parts))
    shown = {name: dataset for name in _FIGURES if (dataset := _DATASETS.get(name, name)) in made}
    parts.append(
        node(
            nodes.make_report_page,
            {
                "report": "report",
                "profile": "profile",
                "parameters": "parameters",
                "observations": "observations",
                "animation": "animation",
                "run_command": "run_command",
                **{name: name for name in histories.values()},
                **shown,
            },
            "report_page",
            name="make_report_page",
        )
    )
    # A group in Kedro-Viz, closed at first, as are the others: all of the graph can be read when it opens.
    return pipeline(parts, tags="evaluate", namespace="evaluation", prefix_datasets_with_namespace=False)
