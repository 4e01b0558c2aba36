"""What sections of the configuration demand of each other: one file of checks for each section that is checked.

A rule takes the configuration and its equation, and gives where something is wrong and what. To add one, write it in
the file of what it rules, or a new one, and add it to `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hyco.config.errors import Mistake
from hyco.config.root import Configuration
from hyco.config.rules import (
    evaluation,
    generation,
    hybrid,
    interaction,
    measurements,
    memory,
    network,
    observation,
    physical,
    predict,
    times,
)
from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation

Rule = Callable[[Configuration, Equation], Iterable[Mistake]]

RULES: tuple[Rule, ...] = (
    physical.mistakes,
    network.mistakes,
    generation.mistakes,
    observation.mistakes,
    measurements.mistakes,
    interaction.mistakes,
    hybrid.mistakes,
    evaluation.mistakes,
    predict.mistakes,
    times.mistakes,
    memory.mistakes,
)


def cross_mistakes(c: Configuration) -> list[Mistake]:
    """What is wrong with sections that are right by themselves.

    The hybrid's parts take over the sections of their names: a mistake that both have is reported once.
    """
    try:
        equation = build_equation(c.equation)
    except ValueError as error:
        return [(("equation",), str(error))]
    mistakes = [mistake for rule in RULES for mistake in rule(c, equation)]
    echoes = {(("hybrid", *key), text) for key, text in mistakes}
    return [mistake for mistake in mistakes if mistake not in echoes]
