"""What a page says of a problem and of what was measured: words that are found where these are known."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from hyco.equations.equation import Equation
from hyco.observations import Observations, counts
from hyco.walls.boundary import in_short

# Numbers that a line lists.
_LISTED = 12


def statement(equation: Equation) -> str:
    """The first sentence of what the equation says of itself: what it is, in letters."""
    described = [text for title, text in equation.described() if title == "formula"]
    if described:
        return "; ".join(described) + "."
    text = " ".join((inspect.getdoc(type(equation)) or equation.config.name).split("\n\n")[0].split())
    return text if text.endswith(".") else f"{text}."


def problem_facts(equation: Equation, configuration: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The equation in letters, its grid, walls and coefficients, and what of it is unknown."""
    section = configuration["equation"]
    yield "equation", statement(equation)
    for axis, keys in section["domain"].items():
        lower = keys.get("lower") or 0.0
        yield axis, f"{lower:g} to {lower + keys['size']:g}, {keys['resolution']} cells"
    walls = section.get("boundary", equation.config.boundary)
    yield "walls", str(in_short(walls)).replace("'", "")[:300]
    if not equation.config.is_static:
        yield "time step", f"{equation.dt:g}"
    given = {k: v for k, v in (section.get("parameters") or {}).items() if v is not None}
    learnt = configuration["physical"].get("learnable_parameters") or []
    if measured := bool(configuration.get("measurements")):
        # Of what is learnt there are only placeholders.
        given = {k: v for k, v in given.items() if k not in {entry["name"] for entry in learnt}}
    if given:
        whose = "given" if measured else "true values"
        yield f"coefficients ({whose})", ", ".join(f"{name} {_value(value)}" for name, value in given.items())
    for entry in learnt:
        bounds = entry.get("bounds")
        between = "" if bounds is None else f", between {bounds[0]:g} and {bounds[1]:g}"
        guess = entry.get("initial_guess")
        first = f", first guess {_value(guess)}" if isinstance(guess, int | float) else ""
        yield "unknown", f"{entry['name']} ({entry.get('kind', 'scalar')}){first}{between}"


def data_facts(
    seen: Observations, configuration: Mapping[str, Any], units: Mapping[str, str], *, static: bool
) -> Iterator[tuple[str, str]]:
    """What was measured, where and when.

    Args:
        seen: the observations.
        configuration: all parameters.
        units: of `time`, the axes and the channels, as far as they are known.
        static: nothing changes with time.
    """
    measured = counts(seen)
    file = (configuration.get("measurements") or {}).get("file")
    yield "from", f"the file {file}" if file else "simulations of the equation"
    count = f"{int(measured.sum()):,}".replace(",", " ")
    trajectories = f"{len(seen.train)} {'trajectory' if len(seen.train) == 1 else 'trajectories'}"
    yield "measurements", f"{count} in {trajectories}, of {', '.join(seen.layout.channels)}"
    steps = measured.any(dim=0).nonzero().flatten().tolist()
    unit = f" {units['time']}" if units.get("time") else ""
    listed = ", ".join(f"{seen.dt * n:.4g}" for n in steps[:_LISTED])
    more = f", … to {seen.dt * steps[-1]:.4g}" if len(steps) > _LISTED else ""
    yield "times", f"{len(steps)}: t = {listed}{more}{unit}" if steps else "none"
    where = "at points of their own" if seen.positions is not None else "in cells of the grid"
    most = int(measured.max()) if measured.numel() else 0
    yield "places", f"{where}, {most} values at a time at most"
    noise = ", ".join(
        f"{channel} σ = {float(sigma):.3g}" for channel, sigma in zip(seen.layout.channels, seen.noise_std, strict=True)
    )
    yield "noise", noise if seen.noise_known else "not known, or none: told by the residuals"
    if seen.heldout is not None:
        yield "held back", f"{int(seen.heldout.sum())} measurements that no model trains on"
    known = {"exact": "known exactly", "full": "measured everywhere, with noise", "observed": "unknown"}
    if not static:
        yield "state at t = 0", known.get(seen.initial_state, seen.initial_state)
    if seen.starts_estimated:
        yield (
            "validation and tests begin with",
            "estimates from what was measured of them at t = 0 alone, less its noise, where it tells them",
        )


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
