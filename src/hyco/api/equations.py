"""Equations from their sections, and the names that sections may choose from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyco.api.sections import as_dictionary, validated
from hyco.config import ConfigurationError
from hyco.equations.equation import Equation, EquationConfig
from hyco.equations.registry import EQUATIONS, build_equation
from hyco.inversion.optimisers.registry import OPTIMISERS
from hyco.networks.network import NETWORKS
from hyco.runtime.plugins import PluginError


def equation(section: Mapping[str, Any] | EquationConfig) -> Equation:
    """A PDE on its grid, with the coefficients that simulations are made with.

    Args:
        section: the section `equation`, as a dictionary or its model: `name` (a built-in one, see `hyco.available`, or
            `package.module:Class`), `domain` ({axis: {size, resolution}}), `dt` (time between two states),
            `parameters` (coefficients by name, in units of length and time), `boundary`, and the equation's own keys:
            docs/configuration.md has them all.

    Returns:
        The equation: `.layout` (channels and grid of its states), `.parameters`, `.dt`.

    Raises:
        ConfigurationError: a `ValueError` with one line per problem: the key, and what is allowed.

    Example:
        >>> import hyco
        >>> section = {
        ...     "name": "heat",
        ...     "domain": {"x": {"size": 1.0, "resolution": 16}},
        ...     "dt": 0.01,
        ...     "max_diffusivity": 0.2,
        ...     "parameters": {"diffusivity": 0.1},
        ... }
        >>> heat = hyco.equation(section)
        >>> heat.layout.channels, heat.layout.shape, heat.parameters
        (('temperature',), (16,), {'diffusivity': 0.1})
        >>> hyco.equation(section | {"dt": -1.0, "colour": "red"})
        Traceback (most recent call last):
        ...
        hyco.config.errors.ConfigurationError: equation.dt: -1.0: input should be greater than 0
        equation.colour: unknown key (value 'red'); allowed: ...
    """
    if isinstance(section, EquationConfig):
        config = section
    else:
        keys = as_dictionary(section, "equation")
        if "name" not in keys:
            raise ConfigurationError(f"equation.name: is missing; available: {', '.join(EQUATIONS.available())}")
        try:
            kind = EQUATIONS.load(str(keys["name"])).config_class
        except PluginError as error:
            raise ConfigurationError(f"equation.name: {error}") from error
        config = validated(kind, keys, "equation")
    try:
        return build_equation(config)
    except PluginError as error:
        raise ConfigurationError(f"equation: {error}") from error


def available() -> dict[str, list[str]]:
    """The names that sections may choose from; `package.module:Class` is another choice for each.

    Returns:
        `equations` for `equation.name`, `networks` for `network.name`, `optimisers` for the argument `method` of
        `hyco.fit`.

    Example:
        >>> import hyco
        >>> hyco.available()["optimisers"]
        ['Adam', 'L-BFGS-B', 'Levenberg-Marquardt']
    """
    return {
        "equations": EQUATIONS.available(),
        "networks": NETWORKS.available(),
        "optimisers": OPTIMISERS.available(),
    }
