"""The file of measurements: whether it and the sections beside it are of one problem."""

from __future__ import annotations

from collections.abc import Iterator

from hyco.config.errors import Mistake
from hyco.config.root import Configuration
from hyco.equations.equation import Equation


def mistakes(c: Configuration, equation: Equation) -> Iterator[Mistake]:
    """Of the section `measurements`; and keys elsewhere that are for measurements, or for simulations, only."""
    if c.measurements is None:
        if c.observation.holdout is not None:
            text = "is for measurements of a single trajectory; simulations have val_sim and test_sim: null"
            yield ("observation", "holdout"), text
        return
    if c.observation.holdout is not None and c.observation.val_sim and c.observation.test_sim:
        text = "is of no use beside val_sim and test_sim, which validate and judge: null, or leave one of them out"
        yield ("observation", "holdout"), text
    from hyco.measurements.sections import Target
    from hyco.measurements.sections import mistakes as mistakes_of_sections

    target = Target(equation.layout, equation.dt, c.equation.is_static)
    for line in mistakes_of_sections(c.measurements, target, c.observation):
        key, text = line.split(": ", 1)
        section = () if key.startswith("observation.") else ("measurements",)
        yield (*section, *key.split(".")), text
