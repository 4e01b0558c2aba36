"""Simulations, and what is measured of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from hyco.api.arguments import require, whole_seed
from hyco.api.arrays import as_tensor, require_finite, require_shape
from hyco.api.sections import plain, validated
from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation
from hyco.fields import Layout
from hyco.observations import ObservationConfig, Observations
from hyco.runtime.storage import Bundle
from hyco.stepping.generation import GenerationConfig
from hyco.stepping.generation import initial_states as random_states
from hyco.stepping.generation import simulate as roll_out
from hyco.training.starts import observed


@dataclass(frozen=True, eq=False, repr=False)
class Trajectories:
    """States of one or more simulations over time, on the grid of an equation.

    `hyco.simulate` makes them. Of states from elsewhere: `Trajectories(states, equation)`, with NaN where nothing is
    known; true coefficients then count as unknown.

    Args:
        states: `[S, T+1, C, *space]`, an array or a tensor, in units of the channels; the first of the T+1 states is
            the initial one. Kept as a tensor in float64.
        equation: whose states they are: their channels, grid and `dt`.
        origin: the sections that the simulations were made with; None: they come from elsewhere.

    Raises:
        TypeError: `equation` is no equation.
        ValueError: the states have another shape, or there is no step.

    Example:
        >>> import hyco, numpy
        >>> heat = hyco.equation({"name": "heat", "domain": {"x": {"size": 1.0, "resolution": 8}}, "dt": 0.1,
        ...                       "max_diffusivity": 0.1, "parameters": {"diffusivity": 0.1}})
        >>> hyco.Trajectories(numpy.zeros((2, 4, 1, 8)), heat)
        Trajectories(2 of heat: 3 steps of 0.1, temperature on 8 cells)
    """

    states: Tensor
    equation: Equation
    origin: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        require(self.equation, Equation, "equation", "hyco.equation")
        states = as_tensor(self.states, "states").double()
        require_shape(states, ("S", "T+1"), self.layout, "states")
        if not len(states) or states.shape[1] < 2:
            raise ValueError(f"states: expected a simulation and a step at least, got {list(states.shape)}")
        object.__setattr__(self, "states", states)

    @property
    def layout(self) -> Layout:
        """Channels and grid of a state."""
        return self.equation.layout

    @property
    def dt(self) -> float:
        """Time between two states."""
        return self.equation.dt

    @property
    def steps(self) -> int:
        """States after the initial one, T."""
        return self.states.shape[1] - 1

    def to_bundle(self) -> Bundle:
        """As the pipelines have them: tensor `trajectories`, with layout and `dt`."""
        metadata: dict[str, Any] = {"kind": "trajectories", "layout": self.layout.to_dict(), "dt": self.dt}
        if self.origin is not None:
            numbers = {k: v for k, v in self.equation.parameters.items() if not isinstance(v, Tensor)}
            metadata |= {"parameters": numbers, "origin": dict(self.origin)}
        return Bundle({"trajectories": self.states}, metadata)

    @classmethod
    def from_bundle(cls, bundle: Bundle, equation: Equation | None = None) -> Trajectories:
        """The inverse of `to_bundle`, also of what `kedro run` has written.

        Args:
            bundle: tensor `trajectories` with its metadata.
            equation: whose states they are; None: the one that simulated them.

        Raises:
            ValueError: they are not those of the equation, or none is given and they were not simulated.
        """
        origin = bundle.metadata.get("origin")
        if equation is None:
            if origin is None:
                raise ValueError("these trajectories were not simulated: give their equation")
            equation = build_equation(origin["equation"])
        equation.require_states(Layout.from_dict(bundle.metadata["layout"]), bundle.metadata["dt"])
        return cls(bundle.tensors["trajectories"], equation, origin)

    def __repr__(self) -> str:
        cells = " × ".join(map(str, self.layout.grid.resolution))
        what = f"{self.steps} steps of {self.dt:g}, {', '.join(self.layout.channels)} on {cells} cells"
        return f"Trajectories({len(self.states)} of {self.equation.config.name}: {what})"


def simulate(
    equation: Equation,
    *,
    simulations: int | None = None,
    steps: int,
    seed: int = 0,
    initial_states: Tensor | NDArray[Any] | None = None,
    length_scale: float = 1.0,
    amplitude: float = 1.0,
) -> Trajectories:
    """Simulate an equation with its true coefficients, from random smooth initial states or from given ones.

    Args:
        equation: from `hyco.equation`.
        simulations: how many, S; None: as many as there are `initial_states`.
        steps: states after the initial one, T; each is `equation.dt` later.
        seed: of the random initial states; the same seed gives the same bits.
        initial_states: `[S, C, *space]`, an array or a tensor, in units of the channels; None: random ones.
        length_scale: correlation length of random initial states [length].
        amplitude: their standard deviation, in units of the channels.

    Returns:
        `Trajectories`, whose `.states` are a float64 tensor `[S, T+1, C, *space]`.

    Raises:
        ConfigurationError: a number is out of range; the message has a line for each.
        TypeError: `equation` is no equation.
        ValueError: `initial_states` have another shape or are not finite, the seed is no whole number, a formula has no
            value at some time until the last step, or the states leave the range that the equation's step is made
            for (for Burgers, `max_speed`).
        FloatingPointError: a simulation is not finite.

    Example:
        >>> import hyco
        >>> heat = hyco.equation({"name": "heat", "domain": {"x": {"size": 1.0, "resolution": 8}}, "dt": 0.1,
        ...                       "max_diffusivity": 0.1, "parameters": {"diffusivity": 0.1}})
        >>> hyco.simulate(heat, simulations=3, steps=4, length_scale=0.2).states.shape
        torch.Size([3, 5, 1, 8])
        >>> import numpy
        >>> hyco.simulate(heat, initial_states=numpy.ones((2, 1, 8)), steps=4)
        Trajectories(2 of heat: 4 steps of 0.1, temperature on 8 cells)
    """
    require(equation, Equation, "equation", "hyco.equation")
    seed = whole_seed(seed)
    given = None if initial_states is None else as_tensor(initial_states, "initial_states").double()
    if given is not None:
        require_shape(given, ("S",), equation.layout, "initial_states")
        require_finite(given, equation.layout, "initial_states")
        if simulations not in (None, len(given)):
            raise ValueError(f"simulations: {simulations} asked for, but there are {len(given)} initial_states")
        simulations = len(given)
    if simulations is None:
        raise ValueError("simulations: say how many, or give initial_states")
    section = {"simulations": simulations, "steps": steps, "length_scale": length_scale, "amplitude": amplitude}
    config = validated(GenerationConfig, section, "generation")
    if reason := equation.config.unsound({}, config.steps * equation.dt):
        raise ValueError(f"equation: {reason}")
    generation = plain(config) | ({} if given is None else {"initial_states": "given"})
    starts = random_states(equation, config, seed) if given is None else given
    states = roll_out(equation, starts, config.steps, config.execution)
    return Trajectories(states, equation, {"equation": plain(equation.config), "generation": generation, "seed": seed})


def observe(
    trajectories: Trajectories, section: Mapping[str, Any] | ObservationConfig, *, seed: int = 0
) -> Observations:
    """Measure simulations: at some places and times, with noise. Nothing else of them reaches a training.

    Args:
        trajectories: from `hyco.simulate`, or of other states.
        section: the section `observation`, as a dictionary or its model: `train_sim`, `val_sim` and `test_sim` (indices
            of simulations; those of the test are not measured), `noise` (standard deviation, over that of each channel
            unless `noise_reference` says otherwise; default 0), `initial_state` (exact, full or observed; default
            exact), `space` and `time` (default: everywhere, always). docs/configuration.md has all keys.
        seed: of the noise and of random sensors; the same seed gives the same bits.

    Returns:
        `Observations`: `.values` and `.mask` `[S, T+1, C, …]`, of training and validation simulations in this order,
        and `.noise_std` `[C]`. Initial states that were measured are taken into the range that the equation's
        fields may have, and those of validation and test simulations are estimates, from these measurements alone: what
        the noise does not explain of them.

    Raises:
        ConfigurationError: a key is wrong; the message has one line per problem, with what is allowed.
        TypeError: `trajectories` are none.
        ValueError: a simulation, a time or a place that does not exist is asked for, nothing is observed, or the seed
            is no whole number.

    Example:
        >>> import hyco
        >>> heat = hyco.equation({"name": "heat", "domain": {"x": {"size": 1.0, "resolution": 8}}, "dt": 0.1,
        ...                       "max_diffusivity": 0.1, "parameters": {"diffusivity": 0.1}})
        >>> trajectories = hyco.simulate(heat, simulations=3, steps=4, length_scale=0.2)
        >>> section = {"train_sim": [0, 1], "test_sim": [2], "noise": 0.01, "space": {"mode": "points", "count": 4}}
        >>> observations = hyco.observe(trajectories, section, seed=0)
        >>> observations.values.shape, observations.mask.double().mean().item()
        (torch.Size([2, 5, 1, 8]), 0.5)
    """
    require(trajectories, Trajectories, "trajectories", "hyco.simulate")
    seed = whole_seed(seed)
    config = validated(ObservationConfig, section, "observation")
    states = trajectories.states[[*config.train_sim, *config.val_sim]] if _exist(config, trajectories) else None
    valid = trajectories.layout.valid
    if states is not None and not bool(torch.isfinite(torch.where(valid, states, 0.0)).all()):
        raise ValueError("trajectories: states to be measured are not finite; leave out the simulations that have gaps")
    return observed(trajectories.to_bundle(), config, seed, trajectories.equation)


def _exist(config: ObservationConfig, trajectories: Trajectories) -> bool:
    """Whether all simulations that are asked for are there; else `observed` says which is not."""
    return max([*config.train_sim, *config.val_sim, *config.test_sim]) < len(trajectories.states)
