"""Test rollouts, the report, its tables and its page.

Nodes that take `**models` get the final models by method.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from hyco.pipelines.evaluation import drawings
from hyco.pipelines.evaluation.shared import learnt_parameters, units_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from hyco.evaluation.models import EvaluatedModel, FinalModel
    from hyco.observations import Observations
    from hyco.runtime.storage import Bundle


def roll_out_test_simulations(
    trajectories: Bundle,
    observations: Bundle,
    equation: dict[str, Any],
    generation: dict[str, Any],
    observation: dict[str, Any],
    seed: int,
    physical_initial_states: Bundle | None = None,
    hybrid_initial_states: Bundle | None = None,
    **models: FinalModel,
) -> Bundle:
    """Rollouts of every model from the test simulations' initial states, with the truth and persistence beside them.

    The initial states are known as those of the training are: exactly, or by noisy
    measurements, from which they are estimated where these tell their noise. Without trajectories
    the models are compared with measurements, where and when they were made; see `roll_out_to_measurements`.

    Raises:
        ConfigurationError: the simulations are those of another equation, generation or seed, or the observations are
            not of simulations.
    """
    import torch

    from hyco.config import ConfigurationError, check_origin, is_measured
    from hyco.equations.registry import build_equation
    from hyco.evaluation import evaluated_models, roll_out_methods
    from hyco.evaluation.models import training_of
    from hyco.fields import Layout
    from hyco.observations import ObservationConfig, Observations
    from hyco.runtime.storage import Bundle, digest

    built = build_equation(equation)
    for method, model in models.items():
        if training_of(model).get("observations") not in (None, digest(observations)):
            raise ConfigurationError(f"{method} was trained on other observations than there are now: train it anew")
    seen = Observations.from_bundle(observations)
    if "trajectories" not in trajectories.tensors:
        built.require_states(seen.layout, seen.dt)
        starts = {"physical": physical_initial_states}
        starts |= dict.fromkeys(("hybrid_synthetic", "hybrid_physical"), hybrid_initial_states)
        compared = _compared_with_measurements(seen, evaluated_models(models, built), starts)
        compared.metadata["units"] = units_of(observations)
        return compared
    check_origin(trajectories.metadata, {"equation": equation, "generation": generation, "seed": seed})
    built.require_states(Layout.from_dict(trajectories.metadata["layout"]), trajectories.metadata["dt"])
    test_sim = ObservationConfig.model_validate(observation).test_sim
    states, measured = trajectories.tensors["trajectories"], is_measured(trajectories.metadata)
    if is_measured(observations.metadata) and not measured:
        raise ConfigurationError(
            "the observations are measurements, or of an earlier version, and the trajectories simulations: write "
            "the measured trajectories, too, or run the training again"
        )
    if measured:
        states = torch.where(states.isfinite() & built.layout.valid, states, torch.nan)
    rollouts = roll_out_methods(states, test_sim, built, evaluated_models(models, built), seen.test_initial_states)
    metadata = {k: trajectories.metadata[k] for k in ("layout", "dt")}
    metadata |= {"kind": "rollouts", "test_sim": test_sim, "measured": measured}
    return Bundle(rollouts, metadata)


def _compared_with_measurements(
    seen: Observations, models: dict[str, EvaluatedModel], starts: dict[str, Bundle | None]
) -> Bundle:
    """Rollouts of every model beside what was measured, with the errors in the metadata.

    Args:
        seen: what was measured.
        models: by method.
        starts: by method, the initial states that its training has left.
    """
    from hyco.evaluation import roll_out_to_measurements
    from hyco.runtime.storage import Bundle

    left = {method: None if file is None else file.tensors["initial_states"] for method, file in starts.items()}
    rolled = roll_out_to_measurements(seen, models, left)
    metadata = {
        "kind": "rollouts",
        "layout": seen.layout.to_dict(),
        "dt": seen.dt,
        "test_sim": rolled.simulations,
        "measured": True,
        "judges": rolled.judges,
        "errors": {method: errors.to_json() for method, errors in rolled.errors.items()},
    }
    return Bundle(rolled.states, metadata)


def make_report(
    rollouts: Bundle,
    experiment: str,
    seed: int,
    equation: dict[str, Any],
    physical_section: dict[str, Any],
    hybrid_section: dict[str, Any],
    **models: FinalModel,
) -> dict[str, Any]:
    """The content of report.json."""
    from hyco.equations.registry import build_equation
    from hyco.equations.units import parameter_units
    from hyco.evaluation import MeasuredErrors, evaluated_models
    from hyco.report import report, true_numbers

    built = build_equation(equation)
    learnt = learnt_parameters(physical_section, hybrid_section)
    true = {method: true_numbers(built, parameters) for method, parameters in learnt.items()}
    measured = rollouts.metadata.get("measured", False)
    finals = evaluated_models(models, built)
    given = rollouts.metadata.get("errors")
    errors = None if given is None else {method: MeasuredErrors.from_json(values) for method, values in given.items()}
    name, states, units = (
        equation["name"],
        rollouts.tensors,
        parameter_units(built.config, rollouts.metadata.get("units")),
    )
    content = report(experiment, seed, built, name, states, finals, true, measured=measured, errors=errors, units=units)
    return content if errors is None else content | {"judges": rollouts.metadata["judges"]}


def collect_parameter_fields(observations: Bundle, equation: dict[str, Any], **models: dict[str, Any]) -> Bundle:
    """The learnt fields with maps of their standard deviations, and the truth where it is known."""
    from hyco.config import is_measured
    from hyco.equations.registry import build_equation
    from hyco.evaluation import parameter_fields
    from hyco.inversion.estimate import PhysicalEstimate
    from hyco.runtime.storage import Bundle

    built = build_equation(equation)
    metadata = {
        "kind": "parameter_fields",
        "grid": built.layout.grid.to_dict(),
        "up_to_a_constant": sorted(built.up_to_a_constant),
    }
    estimates = {method: PhysicalEstimate.from_json(model) for method, model in models.items()}
    return Bundle(parameter_fields(built, estimates, measured=is_measured(observations.metadata)), metadata)


def make_table(report: dict[str, Any]) -> pd.DataFrame:
    """The report, one row per method and parameter."""
    from hyco.report import table

    return table(report)


def make_profile(**models: FinalModel) -> dict[str, Any]:
    """The content of profile.json."""
    from hyco.evaluation.models import training_of
    from hyco.report import profile

    return profile([training_of(model) for model in models.values()])


def make_profile_page(profile: dict[str, Any]) -> str:
    """The profile, to be read."""
    from hyco.report import profile_page

    return profile_page(profile)


def make_report_page(
    report: dict[str, Any],
    profile: dict[str, Any],
    parameters: dict[str, Any],
    observations: Bundle,
    animation: dict[str, Any] | Callable[[], dict[str, Any]],
    run_command: str,
    synthetic_metrics: list[dict[str, Any]] | None = None,
    physical_metrics: list[dict[str, Any]] | None = None,
    hybrid_metrics: list[dict[str, Any]] | None = None,
    **figures: bytes | Figure | Callable[[], Figure] | None,
) -> Callable[[], str]:
    """What makes a page of all of it that needs nothing else; plain numbers, so that another process can.

    Args:
        report, profile: contents of their files.
        parameters: the whole configuration.
        observations: what was measured.
        animation: frames and their speed, or what draws them.
        run_command: what was typed, empty where nothing was.
        synthetic_metrics, physical_metrics, hybrid_metrics: the live metrics of the trainings that there were.
        figures: as the catalog gives them: PNG files, None where there was nothing to show, or in memory as drawn,
            or what draws them.
    """
    from hyco.equations.registry import build_equation
    from hyco.observations import Observations
    from hyco.report.facts import data_facts, problem_facts, statement
    from hyco.runtime.storage import digest

    histories = {"synthetic": synthetic_metrics, "physical": physical_metrics, "hybrid": hybrid_metrics}
    equation, units = build_equation(parameters["equation"]), units_of(observations)
    seen = Observations.from_bundle(observations)
    return partial(
        drawings.report_page,
        report,
        figures,
        animation,
        {training: records for training, records in histories.items() if records},
        configuration=parameters,
        dt=equation.dt,
        formulas=equation.typeset(),
        statement=statement(equation),
        problem=list(problem_facts(equation, parameters)),
        data=list(data_facts(seen, parameters, units, static=equation.config.is_static)),
        profile=profile,
        command=run_command,
        digest=digest(observations),
        units=units,
    )
