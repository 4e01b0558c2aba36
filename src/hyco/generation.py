"""Simulations: random smooth initial states, rolled out by an equation with its true parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from torch import Tensor

from hyco.grid import Grid
from hyco.physics.equation import Equation
from hyco.physics.stepper import Path, Stepper
from hyco.randomness import stream
from hyco.rollout import rollout
from hyco.storage import Bundle


class GenerationConfig(BaseModel):
    """Keys of the `generation` section."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    simulations: PositiveInt = Field(description="number of simulations")
    steps: PositiveInt = Field(description="steps of each simulation after its initial state")
    length_scale: PositiveFloat = Field(description="correlation length of the initial states [length]")
    amplitude: PositiveFloat = Field(default=1.0, description="standard deviation of the initial states")
    execution: Path = Field(default="auto", description="how the equation's step is run")


def random_smooth_states(
    grid: Grid, channels: int, count: int, length_scale: float, amplitude: float, generator: torch.Generator
) -> Tensor:
    """Periodic Gaussian random fields `[count, channels, *space]`, float64, mean zero.

    The covariance is Gaussian: ⟨u(x) u(x + r)⟩ = a² exp(-r²/2l²), so each Fourier mode k has a variance
    proportional to exp(-k²l²/2); the mean mode is left out and the variance of the sum is exactly a².

    Args:
        length_scale: l, in units of length.
        amplitude: a, in units of the field.
    """
    shape = grid.resolution
    wavenumbers = [2 * np.pi * np.fft.fftfreq(n, h) for n, h in zip(shape, grid.spacing, strict=True)]
    squared = sum(k**2 for k in np.meshgrid(*wavenumbers, indexing="ij"))
    variance = torch.from_numpy(np.exp(-0.5 * np.asarray(squared) * length_scale**2))
    variance[(0,) * grid.dimensions] = 0.0
    variance = variance / variance.sum()
    noise = torch.randn((count, channels, *shape), generator=generator, dtype=torch.float64)
    axes = tuple(range(2, 2 + grid.dimensions))
    filtered = torch.fft.ifftn(torch.fft.fftn(noise, dim=axes) * variance.sqrt(), dim=axes).real
    states: Tensor = amplitude * filtered * float(np.sqrt(grid.cells))
    return states


@torch.no_grad()
def simulate(equation: Equation, starts: Tensor, steps: int, execution: Path = "auto") -> Tensor:
    """Trajectories `[S, steps + 1, C, *space]` from initial states `[S, C, *space]`, true parameters.

    Raises:
        FloatingPointError: a simulation is not finite.
        ValueError: the states leave the range that the equation's step is made for.
    """
    stepper = Stepper(equation, execution)
    parameters = {k: torch.tensor(v, dtype=starts.dtype) for k, v in equation.parameters.items()}
    states = rollout(lambda state: stepper(state, parameters), starts, steps)
    trajectories = torch.cat([starts[:, None], states], dim=1)
    if not torch.isfinite(trajectories).all():
        raise FloatingPointError("a simulation is not finite: lower equation.dt or generation.amplitude")
    problem = equation.problem(float(trajectories.abs().max()))
    if problem is not None:
        raise ValueError(problem)
    return trajectories


def generate(equation: Equation, config: GenerationConfig, seed: int) -> Bundle:
    """All simulations of an experiment as a bundle: tensor `trajectories`, with layout and `dt` in the metadata."""
    starts = random_smooth_states(
        equation.layout.grid,
        len(equation.layout.channels),
        config.simulations,
        config.length_scale,
        config.amplitude,
        stream(seed, "initial_states"),
    )
    trajectories = simulate(equation, starts, config.steps, config.execution)
    metadata: dict[str, Any] = {
        "kind": "trajectories",
        "layout": equation.layout.to_dict(),
        "dt": equation.dt,
        "parameters": equation.parameters,
    }
    return Bundle(tensors={"trajectories": trajectories}, metadata=metadata)
