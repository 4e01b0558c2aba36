"""All mistakes of a configuration at once: of each section, of several together, and of what a comparison changes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hyco.baselines.pinn import obstacle
from hyco.config.completion import is_of_measurements
from hyco.config.errors import ConfigurationError, Key, Mistake, dotted
from hyco.config.guesses import laid_to_guesses
from hyco.config.idle import keys_without_effect
from hyco.config.limits import beyond_limits, bools_for_numbers
from hyco.config.messages import own_mistakes, source
from hyco.config.resolution import RULED_BY_HYBRID, compared_sections
from hyco.config.root import Configuration, build
from hyco.config.rules import cross_mistakes
from hyco.config.rules.memory import file_sizes, sizes
from hyco.equations.registry import build_equation
from hyco.training.physical import PhysicalConfig

log = logging.getLogger(__name__)


def parse(parameters: Mapping[str, Any]) -> Configuration:
    """The validated configuration of a run.

    Raises:
        ConfigurationError: something is wrong; one line per mistake.
    """
    mistakes = mistakes_in(parameters)
    if mistakes:
        raise ConfigurationError("\n".join(f"{dotted(key)}: {text}" for key, text in mistakes))
    return build(parameters)


def check(parameters: Mapping[str, Any], sources: Mapping[str, Mapping[str, Any]]) -> None:
    """Validate parameters, and say which file each mistake is in.

    Args:
        parameters: as the run will see them.
        sources: the content of each file that parameters come from, later ones over earlier ones.

    Raises:
        ConfigurationError: one line per mistake: file, key, value and what is allowed.
    """
    mistakes = mistakes_in(parameters)
    if is_of_measurements(parameters):
        mistakes = laid_to_guesses(mistakes, parameters, sources.values())
    if is_of_measurements(parameters) and any(key[0] == "measurements" for key, _ in mistakes):
        # What the file would fill in is missing only because it could not be read.
        mistakes = [(key, text) for key, text in mistakes if key[0] == "measurements"]
    lines = [f"{source(key, sources)}: {dotted(key)}: {text}" for key, text in mistakes]
    if lines:
        raise ConfigurationError("\n".join(lines))


def data_bytes(parameters: Mapping[str, Any]) -> int:
    """Bytes that the files of a run take, about. Arguments: `check`, which must have found nothing wrong.

    As much again as the data for models and pictures; beside data that are larger than memory these do not count.
    """
    configuration = build(parameters)
    equation = build_equation(configuration.equation)
    if configuration.compute.on_disk:
        return sum(file_sizes(configuration, equation).values())
    return 2 * sum(sizes(configuration, equation).values())


def warn_without_effect(parameters: Mapping[str, Any], sources: Mapping[str, Mapping[str, Any]]) -> None:
    """Say which keys nothing reads, and what they need. Arguments: `check`, which must have found nothing wrong."""
    for key, text in keys_without_effect(build(parameters), sources):
        log.warning("%s: %s has no effect: it %s.", source(key, sources), dotted(key), text)


def mistakes_in(parameters: Mapping[str, Any]) -> list[Mistake]:
    """Where a configuration is wrong, and why, in the order of its sections; empty if it is right."""
    # First: sections would compute with such values.
    if beyond := beyond_limits(parameters):
        return beyond
    ruled = _ruled_keys(parameters)
    try:
        configuration = build(parameters)
    except ValidationError as error:
        texts: dict[Key, list[str]] = {key: [text] for key, text in ruled}
        for key, text in own_mistakes(error, Configuration, parameters):
            if text not in texts.setdefault(key, []):
                texts[key].append(text)
        # A key that may be one of two things is wrong as each.
        return [(key, "; or: ".join(each)) for key, each in texts.items()]
    mistakes = ruled + list(bools_for_numbers(parameters, configuration)) or cross_mistakes(configuration)
    # A variant is checked as if the experiment were like that, once the experiment itself is right.
    return mistakes or _variant_mistakes(parameters, configuration)


def _ruled_keys(parameters: Mapping[str, Any]) -> list[Mistake]:
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


def require_same_observations(parameters: Mapping[str, Any]) -> None:
    """Refuse variants that change what is observed, for a comparison on measurements.

    Raises:
        ConfigurationError: one line for each.
    """
    if mistakes := _observed_anew(parameters):
        raise ConfigurationError("\n".join(f"{dotted(key)}: {text}" for key, text in mistakes))


def _observed_anew(parameters: Mapping[str, Any]) -> list[Mistake]:
    """Where variants change what is observed, though the data were measured and all have the same."""
    text = (
        "cannot be changed where the data are measured: all learn from the same ones; leave it out, and compare other "
        "observations in another experiment"
    )
    return [
        (("compare", "variants", name, "overrides", "observation"), text)
        for name, (_, sections) in compared_sections(parameters).items()
        if sections["observation"] != parameters["observation"]
    ]


def _variant_mistakes(parameters: Mapping[str, Any], c: Configuration) -> list[Mistake]:
    """What is wrong with the overrides of variants, and methods that cannot be."""
    mistakes: list[Mistake] = []
    if c.measurements is not None and (mistakes := _observed_anew(parameters)):
        return mistakes
    for name, (method, sections) in compared_sections(parameters).items():
        variant: Key = ("compare", "variants", name)
        # Without a list the methods are those that apply.
        chosen = name in c.compare.variants or c.compare.methods is not None
        own = mistakes_in({**sections, "compare": {}}) if chosen else []
        if name in c.compare.variants:
            mistakes += [((*variant, "overrides", *key), text) for key, text in own]
        else:
            mistakes += [(("compare", "methods"), f"{name} cannot be: {dotted(key)}: {text}") for key, text in own]
        if chosen and not own and method == "pinn":
            learnt = PhysicalConfig.model_validate(sections["physical"]).learnable_parameters
            if text := obstacle(sections["synthetic"]["network"], learnt):
                mistakes.append((variant if name in c.compare.variants else ("compare", "methods"), text))
    return mistakes
