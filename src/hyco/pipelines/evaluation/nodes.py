"""Test rollouts, the report, and its figures.

Nodes that take `**models` get the final models by method, those that take `**histories` the live metrics by training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hyco.evaluation.models import EvaluatedModel, FinalModel
    from hyco.observations import Observations
    from hyco.parameters import LearnableParameter
    from hyco.runtime.storage import Bundle

History = list[dict[str, Any]]


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

    The initial states are known as those of the training are: exactly, or as they were measured. Without trajectories
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
        compared.metadata["units"] = (observations.metadata.get("origin") or {}).get("units", {})
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
    from hyco.evaluation import MeasuredErrors, evaluated_models
    from hyco.report import report, true_numbers

    built = build_equation(equation)
    learnt = _learnt(physical_section, hybrid_section)
    true = {method: true_numbers(built, parameters) for method, parameters in learnt.items()}
    measured = rollouts.metadata.get("measured", False)
    finals = evaluated_models(models, built)
    given = rollouts.metadata.get("errors")
    errors = None if given is None else {method: MeasuredErrors.from_json(values) for method, values in given.items()}
    name, states = equation["name"], rollouts.tensors
    content = report(experiment, seed, built, name, states, finals, true, measured=measured, errors=errors)
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


def plot_training_curves(observations: Bundle, **histories: History) -> Figure:
    """Losses and validation errors over the epochs."""
    from hyco.observations import Observations
    from hyco.plots import training_curves

    return training_curves(histories, noise_free=not Observations.from_bundle(observations).noise_known)


def plot_rollout_error(report: dict[str, Any], equation: dict[str, Any]) -> Figure:
    """Error of every method over the rollout."""
    from hyco.equations.registry import build_equation
    from hyco.plots import rollout_error

    errors = {method: entry["nrmse"] for method, entry in report["methods"].items()}
    per_step = {method: error["per_step"] for method, error in errors.items()}
    steps = next((error["steps"] for error in errors.values() if "steps" in error), None)
    return rollout_error(per_step, build_equation(equation).dt, steps=steps)


def plot_predictions(rollouts: Bundle, evaluation: dict[str, Any]) -> Figure:
    """Truth, predictions and errors of one test simulation."""
    from hyco.plots import predictions

    return predictions(**_pictured(rollouts, evaluation))


def animate_predictions(rollouts: Bundle, evaluation: dict[str, Any]) -> dict[str, Any]:
    """Truth and predictions of one test simulation over time."""
    from hyco.plots import animate

    return {**animate(**_pictured(rollouts, evaluation)), "fps": evaluation["frames_per_second"]}


def plot_parameter_estimates(
    observations: Bundle,
    equation: dict[str, Any],
    physical_section: dict[str, Any],
    hybrid_section: dict[str, Any],
    **histories: History,
) -> Figure:
    """Every parameter's estimate with its 95 % interval over the epochs."""
    from hyco.config import is_measured
    from hyco.equations.registry import build_equation
    from hyco.plots import parameter_estimates
    from hyco.report import true_numbers

    built, learnt = build_equation(equation), _learnt(physical_section, hybrid_section)
    estimates: dict[str, dict[str, Any]] = {}
    true: dict[str, float] = {}
    initial: dict[str, dict[str, float]] = {}
    bounds: dict[str, set[float]] = {}
    for training, history in histories.items():
        method = "hybrid_physical" if training == "hybrid" else training
        numbers = {name: scalar for p in learnt[method] for name, scalar in p.scalar_parts().items()}
        estimates[method] = {
            name: {
                "epoch": [entry["epoch"] for entry in history],
                **{
                    key: [entry["metrics"].get(f"{key}.{name}") for entry in history]
                    for key in ("estimate", "std", "lower", "upper")
                },
            }
            for name in numbers
        }
        true |= {} if is_measured(observations.metadata) else true_numbers(built, learnt[method])
        initial[method] = {name: number.initial_guess for name, number in numbers.items()}
        for name, number in numbers.items():
            bounds.setdefault(name, set()).update(number.bounds or ())
    return parameter_estimates(estimates, true, initial, {name: sorted(ends) for name, ends in bounds.items()})


def plot_parameter_fields(parameter_fields: Bundle, observations: Bundle) -> Figure:
    """Every learnt field with its uncertainty beside the truth, and where something was observed."""
    from hyco.grid import Grid
    from hyco.observations import Observations
    from hyco.plots import parameter_fields as draw

    meta = parameter_fields.metadata
    return draw(
        {name: tensor.numpy() for name, tensor in parameter_fields.tensors.items()},
        Grid.from_dict(meta["grid"]),
        up_to_a_constant=meta["up_to_a_constant"],
        sensors=_sensors(Observations.from_bundle(observations)),
    )


def plot_identifiability(**models: dict[str, Any]) -> Figure:
    """What the data determine, for each physical model."""
    from hyco.plots import identifiability

    return identifiability({method: model["identifiability"] for method, model in models.items()})


def plot_profiles(**models: dict[str, Any]) -> Figure:
    """The profile likelihoods of the numbers for which they were worked out."""
    from hyco.plots import profiles

    return profiles({method: model["parameters"] for method, model in models.items()})


def plot_residuals(observations: Bundle, **models: dict[str, Any]) -> Figure:
    """What each physical model leaves of the data, in units of the noise."""
    from hyco.observations import Observations
    from hyco.plots import residuals

    seen = Observations.from_bundle(observations)
    summaries = {method: model["residuals"] for method, model in models.items()}
    # The training may have used the first steps alone.
    used = max((len(summary["time"]) for summary in summaries.values() if summary), default=0)
    mask = seen.mask[seen.train, :used] & seen.has_noise_of_entries
    if seen.initial_known:
        mask = mask[:, 1:]
    per_step = mask.sum([0, *range(2, mask.ndim)])
    counts = [0] * (used - len(per_step)) + per_step.tolist()
    # Estimated initial states take up the noise of their own measurements above all, which no even share describes.
    shares = [_free_share(model, counts) for model in models.values() if model["residuals"] and seen.initial_known]
    return residuals(
        summaries,
        seen.layout,
        seen.dt,
        counts_time=counts,
        counts_space=mask.sum((0, 1)).numpy() if seen.on_grid else None,
        free=sum(shares) / len(shares) if shares else 1.0,
        noise_free=not seen.noise_known,
    )


def plot_residual_correlation(**models: dict[str, Any]) -> Figure:
    """How the residuals of each physical model are correlated in time and space."""
    from hyco.plots import residual_correlation

    return residual_correlation({method: model["residuals"].get("structure") for method, model in models.items()})


def _free_share(model: dict[str, Any], counts: list[int]) -> float:
    """Degrees of freedom of a fit over the number of its residuals, from their squares and the reduced χ²."""
    squares = [(n, n * rms**2) for n, rms in zip(counts, model["residuals"]["time"], strict=False)]
    number, total = (sum(column) for column in zip(*squares, strict=True))
    chi_square = model["reduced_chi_square"]
    return min(total / number / chi_square, 1.0) if number and chi_square else 1.0


def _sensors(seen: Observations, most: int = 500) -> NDArray[np.float64] | None:
    """Where the training simulations were observed `[n, d]`, not more than some of it; None if everywhere."""
    import numpy as np

    grid, mask = seen.layout.grid, seen.mask[seen.train]
    if seen.positions is not None:
        positions = seen.positions[seen.train]
        first = 1 if seen.initial_state == "full" else 0  # then the entries at t = 0 are whole states
        there = mask.any(2)[:, first:, : positions.shape[2]]
        places = positions[:, first:][there].double().numpy()
    else:
        cells = tuple(slice(0, n) for n in grid.resolution)
        observed = mask.any(0).any(0).any(0)[cells].numpy()
        if observed.all():
            return None
        centres = np.meshgrid(*(grid.centers(axis) for axis in grid.axes), indexing="ij")
        places = np.stack([c[observed] for c in centres], axis=-1)
    places = np.unique(places, axis=0)
    return places if len(places) <= most else places[:: -(-len(places) // most)]


def _learnt(physical: dict[str, Any], hybrid: dict[str, Any]) -> dict[str, list[LearnableParameter]]:
    """The parameters that each physical model learns, by method: the hybrid may have others."""
    from hyco.config import resolve_hybrid
    from hyco.training.physical import PhysicalConfig

    sections = {"physical": physical, "hybrid_physical": resolve_hybrid(hybrid, {}, physical)["physical"]}
    return {method: PhysicalConfig.model_validate(s).learnable_parameters for method, s in sections.items()}


def _pictured(rollouts: Bundle, evaluation: dict[str, Any]) -> dict[str, Any]:
    """What the pictures show: one simulation and channel of all methods."""
    from hyco.fields import Layout
    from hyco.plots import pictured

    meta = rollouts.metadata
    return pictured(
        {name: tensor[evaluation["simulation"]].numpy() for name, tensor in rollouts.tensors.items()},
        Layout.from_dict(meta["layout"]),
        meta["dt"],
        evaluation["channel"],
        measured=meta.get("measured", False),
        units=meta.get("units"),
    )
