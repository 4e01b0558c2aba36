"""The simulations: their initial states, and that nothing is longer than they are."""

from __future__ import annotations

from collections.abc import Iterator

from hyco.config.errors import Mistake
from hyco.config.root import Configuration
from hyco.equations.equation import Equation


def mistakes(c: Configuration, equation: Equation) -> Iterator[Mistake]:
    """Of `generation.initial_state`, and of `num_predict_steps` and `observed_steps` wherever they are."""
    channels = equation.layout.channels
    for channel in c.generation.initial_state:
        if channel not in channels:
            text = f"is no channel of {c.equation.name}; it has: {', '.join(channels)}"
            yield ("generation", "initial_state", channel), text
    longest = c.generation.steps
    of_file = "" if c.measurements is None else f", the last of {c.measurements.file}"
    for section, key, steps in (
        ("synthetic", "num_predict_steps", c.synthetic.num_predict_steps),
        ("physical", "num_predict_steps", c.physical.num_predict_steps),
        ("hybrid", "num_predict_steps", c.hybrid.num_predict_steps),
        ("hybrid", "observed_steps", c.hybrid.observed_steps),
    ):
        if steps is not None and steps > longest:
            text = f"{steps} is longer than a simulation; allowed: 1 to generation.steps = {longest}{of_file}"
            yield (section, key), text
