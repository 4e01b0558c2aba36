"""Test rollouts, the report, and its figures.

Nodes that take `**models` get the final models by method, those that take `**histories` the live metrics by training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from hyco.evaluation import Model
    from hyco.storage import Bundle

History = list[dict[str, Any]]


def roll_out_test_simulations(
    trajectories: Bundle, equation: dict[str, Any], observation: dict[str, Any], **models: Model
) -> Bundle:
    """Rollouts of every model from the test simulations' initial states, with the truth and persistence beside them."""
    from hyco.evaluation import roll_out_methods
    from hyco.physics.registry import build_equation
    from hyco.storage import Bundle

    rollouts = roll_out_methods(
        trajectories.tensors["trajectories"], observation["test_sim"], build_equation(equation), models
    )
    metadata = {k: trajectories.metadata[k] for k in ("layout", "dt")}
    return Bundle(rollouts, {"kind": "rollouts", "test_sim": observation["test_sim"], **metadata})


def make_report(
    rollouts: Bundle, experiment: str, seed: int, equation: dict[str, Any], **models: Model
) -> dict[str, Any]:
    """The content of report.json."""
    from hyco.evaluation import report
    from hyco.physics.registry import build_equation

    return report(experiment, seed, build_equation(equation), equation["name"], rollouts.tensors, models)


def make_table(report: dict[str, Any]) -> pd.DataFrame:
    """The report, one row per method and parameter."""
    from hyco.evaluation import table

    return table(report)


def plot_training_curves(**histories: History) -> Figure:
    """Losses and validation errors over the epochs."""
    from hyco.plots import training_curves

    return training_curves(histories)


def plot_rollout_error(report: dict[str, Any], equation: dict[str, Any]) -> Figure:
    """Error of every method over the rollout."""
    from hyco.plots import rollout_error

    per_step = {method: entry["nrmse"]["per_step"] for method, entry in report["methods"].items()}
    return rollout_error(per_step, equation["dt"])


def plot_predictions(rollouts: Bundle, evaluation: dict[str, Any]) -> Figure:
    """Truth, predictions and errors of one test simulation."""
    from hyco.plots import predictions

    return predictions(**_pictured(rollouts, evaluation))


def animate_predictions(rollouts: Bundle, evaluation: dict[str, Any]) -> dict[str, Any]:
    """Truth and predictions of one test simulation over time."""
    from hyco.plots import animate

    return {**animate(**_pictured(rollouts, evaluation)), "fps": evaluation["frames_per_second"]}


def plot_parameter_estimates(equation: dict[str, Any], section: dict[str, Any], **histories: History) -> Figure:
    """Every parameter's estimate with its 95 % interval over the epochs."""
    from hyco.physics.registry import build_equation
    from hyco.plots import parameter_estimates

    learnable = {p["name"]: p for p in section["learnable_parameters"]}
    estimates = {}
    for training, history in histories.items():
        method = "hybrid_physical" if training == "hybrid" else training
        estimates[method] = {
            name: {
                "epoch": [entry["epoch"] for entry in history],
                "estimate": [entry["metrics"].get(f"estimate.{name}") for entry in history],
                "std": [entry["metrics"].get(f"std.{name}") for entry in history],
            }
            for name in learnable
        }
    return parameter_estimates(
        estimates,
        {name: value for name, value in build_equation(equation).parameters.items() if isinstance(value, float)},
        {name: p["initial_guess"] for name, p in learnable.items()},
        {name: tuple(p["bounds"]) for name, p in learnable.items()},
    )


def _pictured(rollouts: Bundle, evaluation: dict[str, Any]) -> dict[str, Any]:
    """What the pictures show: one simulation and channel of all methods."""
    from hyco.fields import Layout

    layout = Layout.from_dict(rollouts.metadata["layout"])
    which = evaluation["simulation"]
    arrays = {name: tensor[which].numpy() for name, tensor in rollouts.tensors.items()}
    return {
        "truth": arrays.pop("truth"),
        "predictions": arrays,
        "grid": layout.grid,
        "dt": rollouts.metadata["dt"],
        "channel": evaluation["channel"],
        "channels": layout.channels,
    }
