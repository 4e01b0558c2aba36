"""Compare methods over seeds, and show what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

    from hyco.runtime.storage import Bundle


def compare_methods(
    resume_point: dict[str, Any] | None,
    cached_observations: Bundle | None,
    measured: xr.Dataset | Bundle | None,
    results: Path,
    equation: dict[str, Any],
    generation: dict[str, Any],
    observation: dict[str, Any],
    synthetic: dict[str, Any],
    physical: dict[str, Any],
    hybrid: dict[str, Any],
    compare: dict[str, Any],
    compute: dict[str, Any],
    measurements: dict[str, Any],
    experiment: str,
    seed: int,
    device: str,
    resume: bool,
) -> Iterator[dict[str, Any]]:
    """Yield the content of comparison.json, which grows with every training.

    Args:
        resume_point: the content of an earlier comparison's.
        cached_observations: those in the experiment's folder; a user's own are what is compared on.
        measured: what the file of measurements holds, or the observations of it; None: the experiment has none.
        results: the folder of results until all are there.
        equation, generation, observation, synthetic, physical, hybrid, compare, compute, measurements: of the
            configuration.
        experiment, seed, device, resume: likewise.

    Raises:
        ResumeError: the earlier comparison has another configuration.
        ConfigurationError: a variant changes how a user's own observations were made.
        ComputeError: there is no cluster as the section `compute` says, or it is gone.
    """
    from hyco.comparison import CompareConfig
    from hyco.comparison import compare as run_all
    from hyco.compute import ComputeConfig
    from hyco.config import contenders, is_own, parse_device, require_same_observations
    from hyco.training.measured import measured_observations

    sections = {
        "equation": equation,
        "generation": generation,
        "observation": observation,
        "synthetic": synthetic,
        "physical": physical,
        "hybrid": hybrid,
        "compare": compare,
    }
    own = None
    if measured is not None:
        own = measured_observations(measured, equation, measurements, observation, seed)
    elif cached_observations is not None and is_own(cached_observations.metadata):
        own = cached_observations
        require_same_observations(sections)  # only here it is known that they are a user's own
    yield from run_all(
        contenders(sections),
        CompareConfig.model_validate(compare),
        experiment=experiment,
        seed=seed,
        device=str(parse_device(device)),
        compute=ComputeConfig.model_validate(compute),
        folder=results,
        measured=own,
        earlier=resume_point,
        resume=resume,
    )


def make_comparison_table(comparison: dict[str, Any]) -> pd.DataFrame:
    """One row per run and parameter."""
    from hyco.comparison import table

    return table(comparison)


def make_comparison_page(comparison: dict[str, Any]) -> str:
    """Medians, quartiles, worst seeds and ratios, to be read."""
    from hyco.comparison import markdown

    return markdown(comparison)


def make_comparison_report(
    comparison: dict[str, Any],
    parameters: dict[str, Any],
    comparison_figure: bytes | Figure | None,
    comparison_rollouts: bytes | Figure | None,
    run_command: str,
) -> str:
    """All of it as one page that needs nothing else."""
    from hyco.comparison.page import comparison_page
    from hyco.equations.registry import build_equation
    from hyco.plots.style import as_png

    equation = build_equation(parameters["equation"])
    figures = {"errors": as_png(comparison_figure), "rollouts": as_png(comparison_rollouts)}
    return comparison_page(comparison, parameters, equation, figures, run_command)


def plot_comparison_rollouts(comparison: dict[str, Any], equation: dict[str, Any]) -> Figure:
    """Error of every method over the rollout: the median of the seeds and its quartiles."""
    from hyco.comparison.summary import over_time
    from hyco.equations.registry import build_equation
    from hyco.plots import rollout_error
    from hyco.plots.style import figure_of_words

    found = over_time(comparison)
    if not found:
        return figure_of_words("no simulations, or no time: errors over the rollout are not there")
    medians = {method: middle for method, (_, middle, _) in found.items()}
    bands = {method: (low, high) for method, (low, _, high) in found.items()}
    seeds = len(comparison["seeds"])
    of = f"median of {seeds} seeds, and quartiles" if seeds > 1 else "one seed"
    return rollout_error(medians, build_equation(equation).dt, of=of, bands=bands if seeds > 1 else None)


def plot_comparison(comparison: dict[str, Any]) -> Figure:
    """Errors of every method, all seeds visible."""
    from hyco.plots import comparison as draw

    runs = comparison["runs"]
    errors: dict[str, dict[str, list[float | None]]] = {"nRMSE": {}}
    for run in runs:
        errors["nRMSE"].setdefault(run["method"], []).append(run["nrmse"])
    learnt = {(run["method"], name) for run in runs for name in run["parameters"]}
    for name in dict.fromkeys(name for run in runs for name in run["parameters"]):
        by_method: dict[str, list[float | None]] = {}
        for run in runs:
            if (run["method"], name) in learnt:
                error = run["parameters"].get(name, {}).get("relative_error")
                by_method.setdefault(run["method"], []).append(error)
        # A user's own data have no truth.
        if any(error is not None for values in by_method.values() for error in values):
            errors[f"relative error of {name}"] = by_method
    return draw(errors)
