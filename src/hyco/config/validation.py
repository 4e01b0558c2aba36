"""All problems of a configuration at once: of each section, of several together, and of what a comparison changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hyco.baselines.pinn import obstacle
from hyco.config.errors import ConfigurationError, Path, Problem, dotted
from hyco.config.messages import own_problems, source
from hyco.config.resolution import RULED_BY_HYBRID, compared_sections
from hyco.config.root import Configuration, build
from hyco.config.rules import cross_problems
from hyco.training.physical import PhysicalConfig


def parse(parameters: Mapping[str, Any]) -> Configuration:
    """The validated configuration of a run.

    Raises:
        ConfigurationError: something is wrong; one line per problem.
    """
    problems = problems_of(parameters)
    if problems:
        raise ConfigurationError("\n".join(f"{dotted(path)}: {text}" for path, text in problems))
    return build(parameters)


def check(parameters: Mapping[str, Any], sources: Mapping[str, Mapping[str, Any]]) -> None:
    """Validate parameters, and say which file each problem is in.

    Args:
        parameters: as the run will see them.
        sources: the content of each file that parameters come from, later ones over earlier ones.

    Raises:
        ConfigurationError: one line per problem: file, key, value and what is allowed.
    """
    lines = [f"{source(path, sources)}: {dotted(path)}: {text}" for path, text in problems_of(parameters)]
    if lines:
        raise ConfigurationError("\n".join(lines))


def problems_of(parameters: Mapping[str, Any]) -> list[Problem]:
    """Where a configuration is wrong, and why, in the order of its sections; empty if it is right."""
    ruled = _ruled_keys(parameters)
    try:
        configuration = build(parameters)
    except ValidationError as error:
        texts: dict[Path, list[str]] = {path: [text] for path, text in ruled}
        for path, text in own_problems(error, Configuration, parameters):
            if text not in texts.setdefault(path, []):
                texts[path].append(text)
        # A key that may be one of two things has a problem with each.
        return [(path, "; or: ".join(each)) for path, each in texts.items()]
    problems = ruled + cross_problems(configuration)
    # A variant is checked as if the experiment were like that, once the experiment itself is right.
    return problems or _variant_problems(parameters, configuration)


def _ruled_keys(parameters: Mapping[str, Any]) -> list[Problem]:
    """Keys in the hybrid's parts that the hybrid rules for both models."""
    hybrid = parameters.get("hybrid")
    parts = {part: hybrid.get(part) for part in ("synthetic", "physical")} if isinstance(hybrid, Mapping) else {}
    return [
        (("hybrid", part, key), f"{section[key]!r} is not allowed here; set hybrid.{key}")
        for part, section in parts.items()
        if isinstance(section, Mapping)
        for key in RULED_BY_HYBRID
        if key in section
    ]


def _variant_problems(parameters: Mapping[str, Any], c: Configuration) -> list[Problem]:
    """What is wrong with the overrides of variants, and methods that cannot be."""
    found: list[Problem] = []
    for name, (method, sections) in compared_sections(parameters).items():
        variant: Path = ("compare", "variants", name)
        # Without a list the methods are those that apply.
        chosen = name in c.compare.variants or c.compare.methods is not None
        problems = problems_of({**sections, "compare": {}}) if chosen else []
        if name in c.compare.variants:
            found += [((*variant, "overrides", *path), text) for path, text in problems]
        else:
            found += [(("compare", "methods"), f"{name} cannot be: {dotted(path)}: {text}") for path, text in problems]
        if chosen and not problems and method == "pinn":
            learnt = PhysicalConfig.model_validate(sections["physical"]).learnable_parameters
            if text := obstacle(sections["synthetic"]["network"], learnt):
                found.append((variant if name in c.compare.variants else ("compare", "methods"), text))
    return found
