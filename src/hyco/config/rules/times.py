"""The times that an experiment has: whether formulas that depend on t have a value, and make sense, at all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from hyco.config.errors import Mistake
from hyco.config.root import Configuration
from hyco.equations.equation import Equation
from hyco.expressions import Expression

Ranges = Mapping[str, tuple[float, float]]


def last_time(c: Configuration, dt: float) -> float:
    """The latest t that anything is asked for: simulations or measurements, and predictions that are configured."""
    data = c.generation.steps * dt
    predict = c.predict
    if predict.initial_states is None:
        return data + (predict.steps or 0) * dt
    return max(data, predict.time + (predict.steps or c.generation.steps) * dt)


def mistakes(c: Configuration, equation: Equation) -> Iterator[Mistake]:
    """Of the section `equation`: rates, walls and sources between t = 0 and the last time."""
    if equation.config.is_static or equation.autonomous:
        return
    until = last_time(c, equation.dt)
    reason = equation.config.unsound({}, until)
    if reason is not None:
        yield ("equation",), reason
    found: dict[Mistake, None] = {}
    for where, text, ranges in _texts(equation):
        reason = _without_value(text, {**ranges, "t": (0.0, until)})
        if reason is not None:
            found[("equation", *where), f"{reason} (t from 0 to {until:g})"] = None
    yield from found


def _texts(equation: Equation) -> Iterator[tuple[tuple[str, ...], str, Ranges]]:
    """Formulas of walls and sources that depend on t, where they stand, and the ranges of what else they name."""
    config = equation.config
    ends = {axis: (keys.lower, keys.lower + keys.size) for axis, keys in config.domain.items()}
    known = dict(ends)
    for name, value in config.true_parameters.items():
        values = torch.as_tensor(value, dtype=torch.float64)
        known[name] = float(values.min()), float(values.max())
    for field in equation.layout.fields:
        for axis, places in ends.items():
            for wall, place in zip(field.walls[axis], places, strict=True):
                for text in wall.formulas.values():
                    yield ("boundary",), text, {**known, axis: (place, place)}
    source = getattr(config, "source", None)
    if isinstance(source, str):
        yield ("source",), source, known


def _without_value(text: str, ranges: Ranges) -> str | None:
    """Why a formula of t has no value somewhere; None also where it names what has no range, as a field."""
    names = Expression(text).names
    if "t" not in names or not names <= ranges.keys():
        return None
    # Here, because SymPy comes with them, which takes half a second.
    from hyco.equations.formula.admissible import require_defined
    from hyco.equations.formula.symbols import symbol
    from hyco.equations.formula.syntax import FormulaError, Names, read

    own = {name: ranges[name] for name in sorted(names)}
    try:
        rate = read(text, Names((), (), tuple(name for name in own if name != "t")))
        require_defined(text, rate, {symbol(name): ends for name, ends in own.items()}, ())
    except FormulaError as error:
        place = "" if error.place is None else f", character {error.place + 1}"
        return f"{text!r}{place}: {error.reason}"
    return None
