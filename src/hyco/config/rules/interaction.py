"""The meeting of both models: where it starts, and how long its rollouts are."""

from __future__ import annotations

from collections.abc import Iterator

from hyco.config.errors import Mistake
from hyco.config.root import Configuration
from hyco.equations.equation import Equation


def mistakes(c: Configuration, equation: Equation) -> Iterator[Mistake]:
    """Of the section `hybrid.interaction`."""
    h = c.hybrid
    if h.interaction.given_count and equation.config.is_static:
        text = (
            f"{h.interaction.count} is not allowed; allowed: 0: {c.equation.name} is a static problem, "
            "which has no initial states"
        )
        yield ("hybrid", "interaction", "count"), text
    steps = h.interaction.steps
    if steps is not None and steps < h.num_predict_steps:
        text = f"{steps} is shorter than a window; allowed: at least hybrid.num_predict_steps = {h.num_predict_steps}"
        yield ("hybrid", "interaction", "steps"), text
    window = h.interaction.window
    if window is not None and window > h.num_predict_steps:
        text = f"{window} is longer than a window; allowed: at most hybrid.num_predict_steps = {h.num_predict_steps}"
        yield ("hybrid", "interaction", "window"), text
