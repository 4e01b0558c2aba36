"""What one section demands of another, one file for each thing that is ruled.

A rule takes the configuration and its equation, and gives where something is wrong and what. To add one, write it in
the file of what it rules, or a new one, and add it to `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hyco.config.errors import Problem
from hyco.config.root import Configuration
from hyco.config.rules import evaluation, generation, hybrid, interaction, network, observation, physical
from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation

Rule = Callable[[Configuration, Equation], Iterable[Problem]]

RULES: tuple[Rule, ...] = (
    physical.problems,
    network.problems,
    generation.problems,
    observation.problems,
    interaction.problems,
    hybrid.problems,
    evaluation.problems,
)


def cross_problems(c: Configuration) -> list[Problem]:
    """What is wrong with sections that are right by themselves.

    The hybrid's parts take over the sections of their names: a problem that both have is told once.
    """
    try:
        equation = build_equation(c.equation)
    except ValueError as error:
        return [(("equation",), str(error))]
    found = [problem for rule in RULES for problem in rule(c, equation)]
    echoes = {(("hybrid", *path), text) for path, text in found}
    return [problem for problem in found if problem not in echoes]
