"""Optimisers by name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from hyco.inversion.optimisers.minimiser import Minimiser, OptimiserConfig

OPTIMISERS = {
    "Adam": "hyco.inversion.optimisers.adam:Adam",
    "L-BFGS-B": "hyco.inversion.optimisers.lbfgsb:LBFGSB",
    "Levenberg-Marquardt": "hyco.inversion.optimisers.levenberg_marquardt:LevenbergMarquardt",
}


def available() -> list[str]:
    """The names that `physical.method` may have."""
    return sorted(OPTIMISERS)


def optimiser_class(name: str) -> type[Minimiser[Any]]:
    """The class of an optimiser.

    Raises:
        ValueError: there is none of this name; the message lists those that exist.
    """
    if name not in OPTIMISERS:
        raise ValueError(f"unknown optimiser {name!r}; available: {', '.join(available())}")
    module, _, attribute = OPTIMISERS[name].partition(":")
    optimiser: type[Minimiser[Any]] = getattr(import_module(module), attribute)
    return optimiser


def optimiser_config(data: Mapping[str, Any]) -> OptimiserConfig:
    """Validate `physical.method` with the model of the optimiser that it names.

    Raises:
        ValueError: no name, or an unknown one.
        pydantic.ValidationError: a wrong key or value.
    """
    if "name" not in data:
        raise ValueError(f"an optimiser needs a name; available: {', '.join(available())}")
    return optimiser_class(str(data["name"])).config_class.model_validate(dict(data))


def build(config: OptimiserConfig) -> Minimiser[Any]:
    """The optimiser that a configuration describes."""
    return optimiser_class(config.name)(config)
