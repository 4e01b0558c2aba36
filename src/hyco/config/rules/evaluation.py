"""The pictures: which simulation and which channel they show."""

from __future__ import annotations

from collections.abc import Iterator

from hyco.config.errors import Mistake
from hyco.config.root import Configuration
from hyco.equations.equation import Equation


def mistakes(c: Configuration, equation: Equation) -> Iterator[Mistake]:
    """Of the section `evaluation`."""
    tests, channels = c.observation.test_sim, equation.layout.channels
    key = "test_sim" if tests or c.measurements is None else "train_sim"
    shown = tests or ([] if c.measurements is None else c.observation.train_sim)
    if shown and c.evaluation.simulation >= len(shown):
        text = f"{c.evaluation.simulation} is no position in observation.{key} = {shown}"
        yield ("evaluation", "simulation"), text
    if c.evaluation.channel >= len(channels):
        numbered = ", ".join(f"{i} ({channel})" for i, channel in enumerate(channels))
        text = f"{c.evaluation.channel} is no channel of {c.equation.name}; allowed: {numbered}"
        yield ("evaluation", "channel"), text
