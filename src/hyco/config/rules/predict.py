"""Predictions: how many steps there can be, and from when on."""

from __future__ import annotations

from collections.abc import Iterator

from hyco.config.errors import Mistake
from hyco.config.root import Configuration
from hyco.equations.equation import Equation


def mistakes(c: Configuration, equation: Equation) -> Iterator[Mistake]:
    """Of the section `predict`."""
    if equation.config.is_static and c.predict.steps not in (None, 1):
        text = f"{c.predict.steps} is not allowed; allowed: 1 or null: {c.equation.name} is a static problem"
        yield ("predict", "steps"), text
    if c.predict.time and c.predict.initial_states is None:
        text = f"{c.predict.time:g} is not allowed; allowed: 0: without predict.initial_states the data say the time"
        yield ("predict", "time"), text
