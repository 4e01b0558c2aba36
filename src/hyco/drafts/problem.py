"""Equations that measurements may be of, and the section `equation` of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import ValidationError

from hyco.drafts.coefficients import Coefficient, coefficient, unknowns
from hyco.drafts.geometry import Axis
from hyco.drafts.points import Points
from hyco.drafts.roles import Roles, words
from hyco.drafts.variation import variation_of
from hyco.equations.equation import Equation, EquationConfig
from hyco.equations.registry import EQUATIONS, build_equation

# What channels are called elsewhere; their own names and components (`velocity_x`: u, ux, u_x) need no entry.
_ALIASES = {
    "temperature": ("temp", "tmp", "t", "theta"),
    "concentration": ("c", "conc", "tracer", "dye"),
    "vorticity": ("omega", "w", "vort"),
    "pressure": ("p", "head"),
    "smoke": ("density", "s"),
    "velocity_x": ("u", "ux", "vx"),
    "velocity_y": ("v", "uy", "vy"),
    "velocity_z": ("w", "uz", "vz"),
}
_MOST_SUBSTEPS = 64
# Letters of a word that means something by itself.
_WORD = 4
_SMALL = 1e-6


@dataclass(frozen=True)
class Problem:
    """An equation with numbers for everything that measurements do not tell.

    Attributes:
        name: of the equation.
        section: `equation`, valid, with `dt` as a number that is not meant.
        fields: names in the file, by channel that was measured.
        by_name: whether all channels were recognised by their names.
        coefficients: those to learn.
        others: parameters that have a default.
        guessed_keys: keys of the section that say how far a step reaches.
        smooth: keys of the section that make its scheme the most accurate for smooth fields.
        equation: built.
        rates: formulas by field, of an equation that is given by these.
        positive: fields that were hardly ever negative in the data, of such an equation.
        disperses: whether it has odd derivatives of third or higher order: short waves are carried then, not damped.
    """

    name: str
    section: dict[str, Any]
    fields: dict[str, str]
    by_name: bool
    coefficients: list[Coefficient]
    others: list[str]
    guessed_keys: list[str]
    smooth: list[str]
    equation: Equation
    rates: dict[str, str] = field(default_factory=dict)
    positive: list[str] = field(default_factory=list)
    disperses: bool = False

    @property
    def hidden(self) -> list[str]:
        """Channels that were never measured."""
        return [channel for channel in self.equation.layout.channels if channel not in self.fields]


def problem(
    name: str, points: Points, roles: Roles, axes: Mapping[str, Axis], boundary: Any, dt: float, *, hidden: bool = True
) -> Problem | None:
    """An equation as the one of these measurements; None if it has other dimensions, channels or times.

    Args:
        name: of the equation.
        points, roles, axes: of the measurements.
        boundary: the condition at the ends, as far as the equation can have another than its default.
        dt: a time between two states.
        hidden: whether it may have channels that were never measured.

    Raises:
        PluginError: there is no equation of this name.
    """
    config = EQUATIONS.load(name).config_class
    if config.is_static != (roles.time is None):
        return None
    length, time = max(axis.size for axis in axes.values()), points.duration or 1.0
    value = points.spread(roles.fields[0])
    scales = {"length": length, "time": time, "value": value}
    needed, others = unknowns(config, tuple(axes))
    parameters: Any = config.model_fields["parameters"].annotation
    flows = "max_speed" in config.model_fields
    varies = variation_of(points, roles.fields[0])
    coefficients = [coefficient(n, parameters.model_fields[n], scales, varies, flows=flows) for n in needed]
    section = {
        "name": name,
        "domain": {a: {"lower": x.lower, "size": x.size, "resolution": x.resolution} for a, x in axes.items()},
        "dt": dt,
        # So small that every step is stable for them.
        "parameters": {c.name: _SMALL * c.guess for c in coefficients},
    }
    condition = _boundary(config, boundary)
    if condition is not None:
        section["boundary"] = condition
    largest = max(float(abs(v[v == v]).max()) for v in points.values.values())
    reach = _reach(config, coefficients, largest, length / time)
    section |= reach
    equation = _built(section)
    if equation is None:
        return None
    # Where the default is to choose, it needs no line.
    keys = {key: value for key, value in config.smooth.items() if config.model_fields[key].default != "auto"}
    smooth = [] if _built({**section, **keys}) is None else list(keys)
    section |= {key: keys[key] for key in smooth}
    channels, whole = equation.layout.channels, equation.layout.shape == equation.layout.grid.resolution
    # What is unknown everywhere needs a prior, which staggered fields have not.
    if len(roles.fields) < len(channels) and not (hidden and whole and not config.is_static):
        return None
    fields, by_name = fields_of(channels, roles.fields)
    coefficients, substeps = _stable(config, section, coefficients)
    if substeps is not None:
        section["substeps"] = reach["substeps"] = substeps
    section["parameters"] = {c.name: c.guess for c in coefficients}
    equation = build_equation(section)
    return Problem(name, section, fields, by_name, coefficients, others, list(reach), smooth, equation)


def candidates(points: Points, roles: Roles, axes: Mapping[str, Axis], dt: float) -> list[Problem]:
    """All equations that fit; if some have channels with the names of the file, these alone."""
    tried = [problem(name, points, roles, axes, None, dt, hidden=False) for name in EQUATIONS.built_in]
    fitting = [each for each in tried if each is not None]
    exact = [p for p in fitting if all(_says(name, channel) for channel, name in p.fields.items())]
    return exact or fitting


def _says(name: str, channel: str) -> bool:
    """Whether a name means this channel and hardly any other; letters may mean anything."""
    meant = "_".join(words(name))
    return len(meant) >= _WORD and meant in (channel, *_ALIASES.get(channel, ()))


def _built(section: Mapping[str, Any]) -> Equation | None:
    try:
        return build_equation(dict(section))
    except (ValidationError, ValueError):  # other dimensions than the equation has
        return None


def is_periodic(name: str) -> bool:
    """Whether an equation knows no other boundary."""
    return get_args(EQUATIONS.load(name).config_class.model_fields["boundary"].annotation) == ("periodic",)


def _boundary(config: type[EquationConfig], guessed: Any) -> Any:
    """The guess, if the equation can have it; None for its default."""
    kinds = get_args(config.model_fields["boundary"].annotation)
    if guessed is None or config.is_static or (kinds and guessed not in kinds):
        return None
    return guessed if not kinds or len(kinds) > 1 else None


def _reach(
    config: type[EquationConfig], coefficients: list[Coefficient], largest: float, speed: float
) -> dict[str, float]:
    """Keys without a default that say how far a step reaches: by bounds, or by what was measured."""
    found: dict[str, float] = {}
    bounds = {c.name: max(map(abs, c.bounds)) for c in coefficients}
    for key, entry in config.model_fields.items():
        if not entry.is_required() or not key.startswith("max_"):
            continue
        what = key.removeprefix("max_")
        given = [b for name, b in bounds.items() if name.startswith(what) or (what, name[:8]) == ("speed", "velocity")]
        size = max(given, default=1.3 * largest if what == "speed" else speed)
        found[key] = float(f"{size:.2g}") if given else float(f"{1.05 * size:.1e}")
    return found


def fields_of(channels: tuple[str, ...], names: tuple[str, ...]) -> tuple[dict[str, str], bool]:
    """A name in the file for each channel, as far as there are any, and whether all were told by what they are called.

    Others are in order.
    """
    found: dict[str, str] = {channel: channel for channel in channels if channel in names}
    for channel in (channel for channel in channels if channel not in found):
        meanings = (channel, channel.replace("_", ""), *_ALIASES.get(channel, ()))
        for name in names:
            if name not in found.values() and ("_".join(words(name)) in meanings or "".join(words(name)) in meanings):
                found[channel] = name
                break
    rest = [name for name in names if name not in found.values()]
    unnamed = [channel for channel in channels if channel not in found]
    by_name = not unnamed or not rest
    found |= dict(zip(unnamed, rest, strict=False))
    return {channel: found[channel] for channel in channels if channel in found}, by_name


def _stable(
    config: type[EquationConfig], section: Mapping[str, Any], coefficients: list[Coefficient]
) -> tuple[list[Coefficient], int | None]:
    """Bounds within what the step is stable for, with more sub-steps where the equation has that key."""
    substeps, limits = 1, _limits(section)
    may_be_cut = "substeps" in config.model_fields
    while may_be_cut and substeps < _MOST_SUBSTEPS and any(c.bounds[1] > limits[c.name][1] for c in coefficients):
        substeps *= 2
        limits = _limits({**section, "substeps": substeps})
    kept = []
    for c in coefficients:
        low, high = limits[c.name]
        bounds = (max(c.bounds[0], low), c.bounds[1] if c.bounds[1] <= high else _below(high))
        kept.append(Coefficient(c.name, c.unit, min(max(c.guess, bounds[0]), bounds[1]), bounds, c.reason))
    return kept, substeps if substeps > 1 else None


def _below(value: float) -> float:
    """The next number of two digits."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.floor(value / unit) * unit:.2g}")


def _limits(section: Mapping[str, Any]) -> Mapping[str, tuple[float, float]]:
    return build_equation(dict(section)).config.parameter_limits
