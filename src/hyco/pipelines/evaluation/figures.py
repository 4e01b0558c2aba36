"""The figures of a report.

A node takes from its inputs what is to be shown, and returns what draws it: a function of plain numbers, which another
process can call. Nodes that take `**models` get the final models by method, those that take `**histories` the live
metrics by training.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from hyco.pipelines.evaluation import drawings
from hyco.pipelines.evaluation.shared import learnt_parameters, units_of

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hyco.observations import Observations
    from hyco.runtime.storage import Bundle

    Drawing = Callable[[], Figure]

History = list[dict[str, Any]]


def plot_measurements(observations: Bundle) -> Drawing:
    """Where and when the training data were measured."""
    from hyco.observations import Observations
    from hyco.observations.places import measured_places

    seen = Observations.from_bundle(observations)
    taken = measured_places(seen, seen.mask)
    kept_back = None if seen.heldout is None else measured_places(seen, seen.heldout)
    return partial(drawings.measurements, seen.layout.grid, taken, kept_back, units_of(observations))


def plot_training_curves(observations: Bundle, **histories: History) -> Drawing:
    """Losses and validation errors over the epochs."""
    from hyco.observations import Observations

    noise_free = not Observations.from_bundle(observations).noise_known
    return partial(drawings.training_curves, histories, noise_free=noise_free)


def plot_rollout_error(
    report: dict[str, Any], observations: Bundle, rollouts: Bundle, equation: dict[str, Any]
) -> Drawing:
    """Error of every method over the rollout."""
    from hyco.equations.registry import build_equation

    errors = {method: entry["nrmse"] for method, entry in report["methods"].items()}
    per_step = {method: error["per_step"] for method, error in errors.items()}
    steps = next((error["steps"] for error in errors.values() if "steps" in error), None)
    count = len(rollouts.tensors["truth"])
    of = f"mean over {count} test simulations" if count > 1 else "one test simulation"
    if report.get("measured"):
        of = "what was held back of the measurements" if report.get("judges") == "holdout" else "measured trajectories"
    units = (units_of(observations), rollouts.metadata["layout"]["grid"]["axes"])
    return partial(drawings.rollout_error, per_step, build_equation(equation).dt, steps=steps, units=units, of=of)


def plot_predictions(rollouts: Bundle, observations: Bundle, evaluation: dict[str, Any]) -> Drawing:
    """Truth, predictions and errors of one test simulation, with the places and times of the training data."""
    import numpy as np

    from hyco.observations import Observations
    from hyco.runtime.mapped import in_any_row, rows_of

    seen = Observations.from_bundle(observations)
    steps = in_any_row(rows_of(seen.mask, seen.train)).flatten(1).any(dim=1).nonzero().flatten().numpy()
    marks = (seen.dt * steps.astype(np.float64), _sensors(seen))
    simulation = rollouts.metadata["test_sim"][evaluation["simulation"]]
    measured = rollouts.metadata.get("measured", False)
    note = f"trajectory {simulation}, measured" if measured else f"simulation {simulation},\nnot seen in training"
    return partial(drawings.predictions, _pictured(rollouts, evaluation), note=note, marks=marks)


def plot_exchange(
    physics_for_network: Bundle, network_for_physics: Bundle, observations: Bundle, evaluation: dict[str, Any]
) -> Drawing:
    """What the models of a hybrid give each other: both rolled out from the same state, and where they differ."""
    meta, given = physics_for_network.metadata, (physics_for_network, network_for_physics)
    physics, network = (bundle.tensors["predictions"][0].numpy() for bundle in given)
    weights = [bundle.metadata["weight"] for bundle in given]
    note = (
        f"simulation {meta['simulation']}, of the training\n\nweight of these predictions\nin the last epoch:\n"
        f"physics → network {weights[0]:.2g}\nnetwork → physics {weights[1]:.2g}"
    )
    shown = {"rollouts": {"truth": physics, "hybrid_synthetic": network}, "layout": meta["layout"], "dt": meta["dt"]}
    shown |= {"channel": evaluation["channel"], "units": units_of(observations)}
    return partial(drawings.predictions, shown, note=note, reference="hybrid: physics")


def plot_spectra(rollouts: Bundle, observations: Bundle, evaluation: dict[str, Any]) -> Drawing:
    """Energy spectra of the last states of the test simulations, of the truth and of every method."""
    from hyco.evaluation import spectra
    from hyco.fields import Layout

    layout, channel = Layout.from_dict(rollouts.metadata["layout"]), evaluation["channel"]
    last = {name: tensor[:, -1].numpy() for name, tensor in rollouts.tensors.items()}
    if (found := spectra(last, layout, channel)) is None:
        return partial(drawings.words, "the states are not on a periodic box, or not known everywhere")
    end, count = rollouts.tensors["truth"].shape[1] * rollouts.metadata["dt"], len(last["truth"])
    of = f"at the end, t = {end:.4g}; " + (f"mean over {count} simulations" if count > 1 else "one simulation")
    return partial(
        drawings.spectra, *found, units=(units_of(observations), layout.grid.axes, layout.channels[channel]), of=of
    )


def animate_predictions(rollouts: Bundle, evaluation: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Truth and predictions of one test simulation over time."""
    return partial(drawings.animation, _pictured(rollouts, evaluation), evaluation["frames_per_second"])


def plot_parameter_estimates(
    observations: Bundle,
    equation: dict[str, Any],
    physical_section: dict[str, Any],
    hybrid_section: dict[str, Any],
    **histories: History,
) -> Drawing:
    """Every parameter's estimate with its 95 % interval over the epochs."""
    from hyco.config import is_measured
    from hyco.equations.registry import build_equation
    from hyco.report import true_numbers

    built, learnt = build_equation(equation), learnt_parameters(physical_section, hybrid_section)
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
    limits = {name: sorted(ends) for name, ends in bounds.items()}
    units = _parameter_units(observations, equation)
    return partial(drawings.parameter_estimates, estimates, true, initial, limits, units=units)


def plot_parameter_fields(parameter_fields: Bundle, observations: Bundle, equation: dict[str, Any]) -> Drawing:
    """Every learnt field with its uncertainty beside the truth, and where something was observed."""
    from hyco.grid import Grid
    from hyco.observations import Observations

    meta = parameter_fields.metadata
    return partial(
        drawings.parameter_fields,
        {name: tensor.numpy() for name, tensor in parameter_fields.tensors.items()},
        Grid.from_dict(meta["grid"]),
        up_to_a_constant=meta["up_to_a_constant"],
        sensors=_sensors(Observations.from_bundle(observations)),
        units=(units_of(observations), meta["grid"]["axes"]),
        of_values=_parameter_units(observations, equation),
    )


def plot_identifiability(**models: dict[str, Any]) -> Drawing:
    """What the data determine, for each physical model."""
    return partial(drawings.identifiability, {method: model["identifiability"] for method, model in models.items()})


def plot_profiles(observations: Bundle, equation: dict[str, Any], **models: dict[str, Any]) -> Drawing:
    """The profile likelihoods of the numbers for which they were worked out."""
    found = {method: model["parameters"] for method, model in models.items()}
    return partial(drawings.profiles, found, _parameter_units(observations, equation))


def plot_residuals(observations: Bundle, **models: dict[str, Any]) -> Drawing:
    """What each physical model leaves of the data, in units of the noise."""
    from hyco.observations import Observations

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
    return partial(
        drawings.residuals,
        summaries,
        seen.layout.to_dict(),
        seen.dt,
        counts_time=counts,
        counts_space=mask.sum((0, 1)).numpy() if seen.on_grid else None,
        free=sum(shares) / len(shares) if shares else 1.0,
        noise_free=not seen.noise_known,
        units=(units_of(observations), seen.layout.grid.axes),
    )


def plot_residual_correlation(observations: Bundle, **models: dict[str, Any]) -> Drawing:
    """How the residuals of each physical model are correlated in time and space."""
    found = {method: model["residuals"].get("structure") for method, model in models.items()}
    axes = observations.metadata["layout"]["grid"]["axes"]
    return partial(drawings.residual_correlation, found, units=(units_of(observations), axes))


def _parameter_units(observations: Bundle, equation: dict[str, Any]) -> dict[str, str]:
    """Of the equation's parameters, with the units of the data put in."""
    from hyco.equations.registry import equation_config
    from hyco.equations.units import parameter_units

    return parameter_units(equation_config(equation), units_of(observations))


def _free_share(model: dict[str, Any], counts: list[int]) -> float:
    """Degrees of freedom of a fit over the number of its residuals, from their squares and the reduced χ²."""
    squares = [(n, n * rms**2) for n, rms in zip(counts, model["residuals"]["time"], strict=False)]
    number, total = (sum(column) for column in zip(*squares, strict=True))
    chi_square = model["reduced_chi_square"]
    return min(total / number / chi_square, 1.0) if number and chi_square else 1.0


def _sensors(seen: Observations, most: int = 500) -> NDArray[np.float64] | None:
    """Where the training simulations were observed `[n, d]`, not more than some of it; None if everywhere."""
    import numpy as np

    from hyco.runtime.mapped import in_any_row, rows_of

    grid, mask = seen.layout.grid, rows_of(seen.mask, seen.train)
    if seen.positions is not None:
        positions = seen.positions[seen.train]
        first = 1 if seen.initial_state == "full" else 0  # then the entries at t = 0 are whole states
        there = mask.any(2)[:, first:, : positions.shape[2]]
        places = positions[:, first:][there].double().numpy()
    else:
        cells = tuple(slice(0, n) for n in grid.resolution)
        observed = in_any_row(mask).any(0).any(0)[cells].numpy()
        if observed.all():
            return None
        centres = np.meshgrid(*(grid.centers(axis) for axis in grid.axes), indexing="ij")
        places = np.stack([c[observed] for c in centres], axis=-1)
    places = np.unique(places, axis=0)
    return places if len(places) <= most else places[:: -(-len(places) // most)]


def _pictured(rollouts: Bundle, evaluation: dict[str, Any]) -> dict[str, Any]:
    """What the pictures show: one simulation and channel of all methods, as `hyco.plots.pictured` takes it."""
    meta = rollouts.metadata
    return {
        "rollouts": {name: tensor[evaluation["simulation"]].numpy() for name, tensor in rollouts.tensors.items()},
        "layout": meta["layout"],
        "dt": meta["dt"],
        "channel": evaluation["channel"],
        "measured": meta.get("measured", False),
        "units": meta.get("units"),
    }
