"""What a configuration leaves open, filled in: from the file of measurements, where there is one, and by default."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hyco.config.errors import ConfigurationError
from hyco.measurements.config import LONGEST, MeasurementsConfig
from hyco.networks.network import network_config
from hyco.sections import merge

if TYPE_CHECKING:
    from hyco.measurements.survey import Survey

log = logging.getLogger(__name__)

# Steps of a training window of a network that steps states, where none are given.
WINDOW = 5
# Points that a search on measurements looks at before it begins: first guesses of what is measured are rough.
SCAN = 32
_NETWORK = {"name": "resnet"}
_STEPS = "num_predict_steps"


def is_of_measurements(parameters: Mapping[str, Any]) -> bool:
    """Whether an experiment reads a file instead of simulating."""
    return bool(parameters.get("measurements"))


def complete(parameters: Mapping[str, Any], survey: Survey | None = None) -> dict[str, Any]:
    """The parameters with a value for everything that they leave open.

    Of an experiment with `measurements`: `generation` says what the file holds; `equation.dt: auto` follows the
    times (`automatic_dt`), `equation.parameters` that are learnt and left out their first guess, `{column: name}` and
    `{sensor: position}` in a wall their series, `observation` all defaults, `physical.scan` 32 where there is one
    guess. Of every experiment: a `num_predict_steps` that is null or left out becomes the whole trajectory for networks
    of coordinates, and at most five steps for networks that step states. For the physical model null is the whole
    trajectory; left out it is that where the data are measured, else five steps; so is `hybrid.observed_steps: null` of
    measurements.
    Variants of a comparison get their own numbers in their overrides, where those differ: a variant's network of
    coordinates learns from whole trajectories.

    Args:
        parameters: all sections. What is wrong in them is left as it is, for the validation to name.
        survey: of the file of an experiment with `measurements`; None: it has none.

    Raises:
        ConfigurationError: `equation.dt` is auto without measurements, or the last time is too many steps away.
    """
    filled = dict(parameters)
    if survey is not None:
        filled |= _measured(filled, survey)
    elif _keys(filled.get("equation")).get("dt") == "auto":
        if is_of_measurements(filled):  # that section is wrong, which the validation says
            return {**filled, "equation": {**filled["equation"], "dt": 1.0}}
        raise ConfigurationError("equation.dt: auto is for measurements, whose times say it; give a number")
    open_sections = dict(filled)
    _complete_steps(filled, measured=survey is not None)
    _complete_variants(open_sections, filled, measured=survey is not None)
    return filled


def _measured(parameters: Mapping[str, Any], survey: Survey) -> dict[str, Any]:
    """The sections that a file of measurements fills."""
    from hyco.measurements.automatic_dt import automatic_dt
    from hyco.measurements.sensor_series import with_sensor_tables
    from hyco.measurements.steps import last_step
    from hyco.measurements.wall_series import with_tables

    if parameters.get("generation"):
        log.warning("generation has no effect: the experiment reads measurements.file; leave it out.")
    equation = with_tables(dict(_keys(parameters.get("equation"))), survey.walls)
    equation = with_sensor_tables(equation, survey.sensors)
    if equation.get("dt", "auto") == "auto":
        equation["dt"] = automatic_dt(survey.times)
    given = _keys(equation.get("parameters"))
    guesses, physical = _first_guesses(parameters), _keys(parameters.get("physical"))
    # What only the formulas of the physical model name is a parameter of its equation alone.
    later = {name: guess for name, guess in guesses.items() if _is_later(name, equation, physical)}
    equation["parameters"] = {**{n: g for n, g in guesses.items() if n not in later}, **given}
    dt = equation["dt"]
    usable = isinstance(dt, int | float) and dt > 0 and len(survey.times) > 0
    steps = last_step(float(survey.times[-1]), dt, survey.time_rounding) if usable else 1
    if steps > LONGEST:
        file, last = _keys(parameters.get("measurements")).get("file"), float(survey.times[-1])
        raise ConfigurationError(
            f"{file}: its last time, {last:.6g}, is more than {LONGEST:g} steps of equation.dt = {float(dt):.6g} after "
            "t = 0; check that time, measurements.scale and dt"
        )
    own = _keys(physical.get("equation"))
    if later:
        physical = {**physical, "equation": {**own, "parameters": {**later, **_keys(own.get("parameters"))}}}
    if physical and physical.get("starts", 1) == 1:
        physical = {"scan": SCAN, **physical}
    return {
        "equation": equation,
        **({"physical": physical} if physical else {}),
        "generation": {"simulations": survey.simulations, "steps": steps},
        "observation": {"train_sim": [0], **_keys(parameters.get("observation"))},
        "synthetic": {"network": _NETWORK, **_keys(parameters.get("synthetic"))},
    }


def _is_later(name: str, equation: Mapping[str, Any], physical: Mapping[str, Any]) -> bool:
    """Whether a parameter stands in formulas of `physical.equation`, and in none of `equation`."""
    both = [_keys(section).get("rates") for section in (equation, physical.get("equation"))]
    word = re.compile(rf"\b{re.escape(name)}\b")
    return all(both) and not word.search(str({**equation, "parameters": None}))


def _first_guesses(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """First guesses of what is learnt, by name, numbers and formulas."""
    sections = [_keys(parameters.get("physical")), _keys(_keys(parameters.get("hybrid")).get("physical"))]
    learnt = [p for section in sections for p in section.get("learnable_parameters") or [] if isinstance(p, Mapping)]
    return {
        str(p["name"]): p["initial_guess"]
        for p in learnt
        if "name" in p and isinstance(p.get("initial_guess"), int | float | str)
    }


def _complete_steps(filled: dict[str, Any], *, measured: bool) -> None:
    """Put numbers for `num_predict_steps` that is null or left out."""
    steps = _keys(filled.get("generation")).get("steps")
    if not isinstance(steps, int):
        return
    window, hybrid = min(WINDOW, steps), filled.get("hybrid")
    network = steps if _predicts_all(filled.get("synthetic")) else window
    if isinstance(hybrid, Mapping):
        section = dict(hybrid)
        if section.get("observed_steps") is None and measured:
            section["observed_steps"] = steps
        own = _keys(section.get("synthetic")).get("network")
        both = (steps if _predicts_all({"network": own}) else window) if own else network
        filled["hybrid"] = _with_steps(section, both, both)
    for name, null, left_out in (
        ("synthetic", network, network),
        ("physical", steps, steps if measured else window),
    ):
        if isinstance(filled.get(name), Mapping):
            filled[name] = _with_steps(filled[name], null, left_out)


def _complete_variants(given: Mapping[str, Any], filled: dict[str, Any], *, measured: bool) -> None:
    """Put into the overrides of variants the numbers that they would have as experiments of their own.

    Args:
        given: the parameters before `_complete_steps`.
        filled: those after it, to be changed.
        measured: whether they are of measurements.
    """
    compare = _keys(filled.get("compare"))
    variants = dict(_keys(compare.get("variants")))
    for name, variant in variants.items():
        overrides = _keys(_keys(variant).get("overrides"))
        own, inherited = merge(given, overrides), merge(filled, overrides)
        _complete_steps(own, measured=measured)
        changes = {
            section: {_STEPS: value}
            for section in ("synthetic", "physical", "hybrid")
            if (value := _keys(own.get(section)).get(_STEPS)) != _keys(inherited.get(section)).get(_STEPS)
        }
        if changes:
            variants[name] = {**variant, "overrides": merge(overrides, changes)}
    if variants != _keys(compare.get("variants")):
        filled["compare"] = {**compare, "variants": variants}


def _with_steps(section: Mapping[str, Any], null: int, left_out: int) -> dict[str, Any]:
    """A section with a number for `num_predict_steps`."""
    if _STEPS not in section:
        return {**section, _STEPS: left_out}
    return {**section, _STEPS: null} if section[_STEPS] is None else dict(section)


def _predicts_all(section: Any) -> bool:
    """Whether a network knows whole trajectories; one that is wrong is left to the validation."""
    try:
        return not network_config(dict(_keys(_keys(section).get("network")))).stepping
    except ValueError:
        return False


def _keys(section: Any) -> Mapping[str, Any]:
    return section if isinstance(section, Mapping) else {}


def measurements_section(parameters: Mapping[str, Any]) -> MeasurementsConfig | None:
    """The section `measurements`; None where there is none, or it is wrong, which the validation says."""
    section = parameters.get("measurements")
    if not section or not isinstance(section, Mapping):
        return None
    try:
        return MeasurementsConfig.model_validate(section)
    except ValueError:
        return None
