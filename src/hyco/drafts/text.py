"""A draft as `parameters.yml`, with a comment at every guess, and as a few lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from hyco.drafts.draft import Draft
from hyco.drafts.problem import Problem
from hyco.equations.registry import EQUATIONS

_PLAIN = re.compile(r"^[A-Za-z_][A-Za-z0-9_./-]*$")
_WORDS_OF_YAML = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
# Keys of the network by the number of axes.
_NETWORKS = {1: "filters: 16, blocks: 2, kernel_size: 5", 2: "filters: 16, blocks: 2, kernel_size: 3"}
_LARGEST = "filters: 12, blocks: 2, kernel_size: 3"
_COMMENT = 44


def parameters_file(name: str, made: Draft) -> str:
    """The text of `conf/NAME/parameters.yml`."""
    p = made.problem
    lines = [
        f"# {p.name} from the measurements in {made.file}.",
        f"# Written by `hyco new {name}`: every line with a guess says what it is from. Check these, then run",
        f"# `hyco check --env {name}` and `hyco --pipelines hybrid --env {name}`.",
        "",
        "threads: 1",
        "",
        *_measurements(made),
        "",
        *_equation(made),
        "",
        *_observation(made),
        "",
        *_synthetic(made),
        "",
        *_physical(made),
        "",
        "hybrid:",
        "  epochs: 60",
        _line("  alpha: auto", "each model is trusted as far as it proves right"),
        "  warmup_epochs: 5",
        "  interleave_frequency: 5",
        "  validate_every: 5",
    ]
    return "\n".join(lines) + "\n"


def summary(made: Draft) -> Iterator[str]:
    """What was guessed, a line for each."""
    p, roles, points = made.problem, made.roles, made.points
    for name, text in p.rates.items():
        yield f"formula:    ∂{name}/∂t = {text}"
    yield f"equation:   {p.name}, with {', '.join(f'{channel} = {field}' for channel, field in p.fields.items())}"
    for channels, why in _hidden(made):
        yield f"hidden:     {', '.join(channels)}, {why}, unknown at t = 0"
    time = roles.time if roles.time is None else f"{roles.time}, 0 to {points.duration:.6g} after the earliest"
    yield f"time:       {time or 'none, a static problem'}"
    for axis, a in made.axes.items():
        extent = f"{a.lower:g} to {a.lower + a.size:g}, {a.resolution} cells"
        given = roles.axes[axis]
        name = given if isinstance(given, str) else "the numbers in the names of the columns"
        yield f"{axis + ':':<11} {name}: {a.reason}; {extent}"
    if "boundary" in p.section:
        reasons = {made.ends[axis].reason for axis in made.axes}
        yield f"boundary:   {_flow(p.section['boundary'])} ({'; '.join(sorted(reasons))})"
    train, val, test = made.split
    if roles.simulation is None:
        yield "trajectory: one; a fifth of its measurements is held back to judge models by"
    else:
        counts = f"{len(train)} train, {len(val)} validate, {len(test)} test"
        yield f"trajectory: {roles.simulation} tells {points.simulations} apart: {counts}"
    yield f"noise:      {_std(made)}"
    if not p.equation.config.is_static:
        yield f"t = 0:      {'measured in every cell' if made.whole_start else 'unknown, with a smooth prior'}"
    yield from (f"look at:    {line}" for line in made.suspicions)
    for c in p.coefficients:
        yield f"unknown:    {c.name}, {c.bounds[0]:g} to {c.bounds[1]:g} ({c.unit}), first guess {c.guess:g}"
    if roles.others:
        yield f"not used:   {', '.join(roles.others)}"


def _line(text: str, comment: str = "") -> str:
    return f"{text:<{_COMMENT}} # {comment}" if comment else text


def _measurements(made: Draft) -> Iterator[str]:
    roles = made.roles
    yield "measurements:"
    yield f"  file: {_scalar(made.file)}"
    by_name = {True: "guessed from its name; check", False: "guessed from its values; check"}
    if roles.time is None:
        yield _line("  time: null", "guessed: nothing is called time; check")
    else:
        yield _line(f"  time: {_scalar(roles.time)}", by_name["time" not in roles.by_form])
    sensors = "guessed: the numbers in the names of the columns; check"
    comment = sensors if roles.columns else by_name["axes" not in roles.by_form]
    yield _line(f"  axes: {_flow(roles.axes)}", comment)
    if roles.simulation is not None:
        told = by_name["simulation" not in roles.by_form].removesuffix("; check")
        words = f"{told}: tells {made.points.simulations} trajectories apart; check"
        yield _line(f"  simulation: {_scalar(roles.simulation)}", words)
    p = made.problem
    columns = {
        channel: list(roles.columns[name]) if name in roles.columns else name for channel, name in p.fields.items()
    }
    yield _line(f"  fields: {_flow(columns)}", "channel: name in the file; " + _fields_comment(made))
    yield _line(f"  std: {_flow(_stds(made))}", f"noise: {_std(made)}; or a number; check")
    if roles.others:
        yield f"  # not used: {', '.join(roles.others)}"
    yield from (f"  # {line}" for line in made.suspicions)
    yield "  # scale: {x: 0.001}   if the file has other units than the equation shall have"


def _fields_comment(made: Draft) -> str:
    p = made.problem
    unused = [name for name in made.roles.fields if name not in p.fields.values()]
    text = "guessed from the name; check" if p.by_name else "guessed from the order; check"
    text += f"; there is also {', '.join(unused)}" if unused else ""
    return text + "".join(f"; {', '.join(channels)}: {why}" for channels, why in _hidden(made))


def _hidden(made: Draft) -> Iterator[tuple[list[str], str]]:
    """Channels without measurements, and why there are none."""
    elsewhere = [name for name in made.problem.hidden if name in made.roles.elsewhere]
    never = [name for name in made.problem.hidden if name not in elsewhere]
    yield from ((names, why) for names, why in ((never, "never measured"), (elsewhere, "has other positions")) if names)


def _stds(made: Draft) -> Any:
    fields, stds = made.problem.fields, made.roles.stds
    if not all(name in stds for name in fields.values()):
        return "estimate"
    return {channel: stds[name] for channel, name in fields.items()}


def _std(made: Draft) -> str:
    stds = _stds(made)
    return (
        "estimated from the residuals" if stds == "estimate" else f"standard deviations in {', '.join(stds.values())}"
    )


def _equation(made: Draft) -> Iterator[str]:
    p = made.problem
    yield "equation:"
    yield f"  name: {p.name}"
    yield "  domain:"
    for axis, a in made.axes.items():
        keys = {"lower": a.lower, "size": a.size, "resolution": a.resolution}
        yield _line(f"    {axis}: {_flow(keys)}", f"guessed from {a.reason}; check")
    if "boundary" in p.section:
        reasons = "; ".join(dict.fromkeys(made.ends[axis].reason for axis in made.axes))
        yield _line(
            f"  boundary: {_flow(p.section['boundary'])}", f"guessed: {reasons}; check: periodic, neumann, a number"
        )
    if p.rates:
        yield from _formulas(p)
    if p.equation.config.is_static:
        yield _line("  dt: 1.0", "without meaning: the problem is static")
    else:
        yield _line("  dt: auto", "chosen by the times of the file")
    for key in p.guessed_keys:
        yield _line(f"  {key}: {_flow(p.section[key])}", "guessed from the bounds below and the data; check")
    for key in p.smooth:
        yield _line(f"  {key}: {_flow(p.section[key])}", "the most accurate where fields are smooth; else leave it out")
    if p.others:
        yield f"  # parameters with a default, to give or to learn: {', '.join(p.others)}"


def _formulas(p: Problem) -> Iterator[str]:
    """Fields and their rates of change."""
    yield "  fields:"
    for name in p.rates:
        if name in p.positive:
            yield _line(
                f"    {name}: {{lower: 0.0}}", "guessed: it was hardly ever negative; check; boundary: if its own"
            )
        else:
            yield _line(f"    {name}: {{}}", "lower, upper: what it may be; boundary: if it has its own")
    yield "  rates:"
    for name, text in p.rates.items():
        yield f"    {name}: {json.dumps(text)}"


def _observation(made: Draft) -> Iterator[str]:
    train, val, test = made.split
    yield "observation:"
    yield _line(f"  train_sim: {train}", "" if made.roles.simulation is None else "guessed: the first ones; check")
    if made.roles.simulation is not None:
        yield f"  val_sim: {val}"
        yield f"  test_sim: {test}"
    else:
        yield _line("  holdout: {fraction: 0.2, by: points}", "judges models; by: points, sensors, times or end")
    if made.problem.equation.config.is_static:
        return
    if made.whole_start:
        yield _line("  initial_state: full", "guessed: every cell was measured at the earliest time")
    else:
        yield _line("  initial_state: observed", "guessed: not every cell was measured at the earliest time")
    if not all(a.of_cells for a in made.axes.values()):
        yield _line("  interpolation: cubic", "linear, if the field is rough between cells")


def _synthetic(made: Draft) -> Iterator[str]:
    keys = _NETWORKS.get(len(made.axes), _LARGEST)
    yield "synthetic:"
    yield f"  network: {{name: resnet, {keys}, coordinates: true}}"
    yield "  epochs: 100"
    yield "  learning_rate: 3.0e-3"
    yield "  batch_size: 4"
    yield "  validate_every: 5"


def _physical(made: Draft) -> Iterator[str]:
    p = made.problem
    yield "physical:"
    yield "  method: Levenberg-Marquardt"
    if not p.equation.config.is_static and (p.disperses or not made.whole_start):
        keys = dict.fromkeys(("length_scale", "amplitude", "mean"), "auto")
        # Noise has short waves too, whose phases would follow any coefficients.
        told = ", as its short waves are not damped" if made.whole_start else ""
        yield _line(f"  initial_state: {_flow(keys)}", f"prior of the states at t = 0, from the measurements{told}")
    yield "  learnable_parameters:"
    varying = EQUATIONS.load(p.name).up_to_a_constant
    for c in p.coefficients:
        if c.name in varying:
            yield _line(
                f"    - {{name: {c.name}, kind: fourier, modes: 4, mean: false, prior_std: {_number(c.guess)}}}",
                f"guessed from {c.reason}; check",
            )
            continue
        entry = {"name": c.name, "initial_guess": c.guess, "bounds": list(c.bounds)}
        yield _line(f"    - {_flow(entry)}", f"guessed from {c.reason}; check")


def _flow(value: Any) -> str:
    """A value as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value) if isinstance(value, str) else _number(value)


def _number(value: float) -> str:
    """A number that YAML reads as one: it wants a point before an exponent."""
    text = repr(value)
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def _scalar(text: str) -> str:
    return text if _PLAIN.match(text) and text.lower() not in _WORDS_OF_YAML else json.dumps(text, ensure_ascii=False)
