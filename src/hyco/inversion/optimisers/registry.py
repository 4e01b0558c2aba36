"""Optimisers by name, those of this package and those of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyco.inversion.optimisers.minimiser import Minimiser, OptimiserConfig
from hyco.runtime.plugins import Registry

OPTIMISERS: Registry[type[Minimiser[Any]]] = Registry(
    kind="optimiser",
    built_in={
        "Adam": "hyco.inversion.optimisers.adam:Adam",
        "L-BFGS-B": "hyco.inversion.optimisers.lbfgsb:LBFGSB",
        "Levenberg-Marquardt": "hyco.inversion.optimisers.levenberg_marquardt:LevenbergMarquardt",
    },
    group="hyco.optimisers",
    base="hyco.inversion.optimisers.minimiser:Minimiser",
    config="hyco.inversion.optimisers.minimiser:OptimiserConfig",
)


def optimiser_config(data: Mapping[str, Any]) -> OptimiserConfig:
    """Validate `physical.method` with the model of the optimiser that it names.

    Raises:
        ValueError: no name, or one of which no class can be used.
        pydantic.ValidationError: a wrong key or value.
    """
    if "name" not in data:
        raise ValueError(f"an optimiser needs a name; available: {', '.join(OPTIMISERS.available())}")
    return OPTIMISERS.load(str(data["name"])).config_class.model_validate(dict(data))


def build(config: OptimiserConfig) -> Minimiser[Any]:
    """The optimiser that a configuration describes."""
    return OPTIMISERS.load(config.name)(config)
