"""Simulations: initial states, rolled out by an equation with its true parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.ranges import covering
from hyco.expressions import Expression
from hyco.runtime.mapped import parts
from hyco.runtime.random_streams import stream
from hyco.runtime.storage import Bundle
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Execution, Stepper

# Makes the trajectories of an equation.
Make = Callable[[Equation], Tensor]

# A step of `dt` that needs more sub-steps than this is of states that grow without end.
_MOST_SUBSTEPS = 100_000


class GenerationConfig(BaseModel):
    """Keys of the `generation` section."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    simulations: PositiveInt = Field(description="number of simulations")
    steps: PositiveInt = Field(description="steps of each simulation after its initial state")
    length_scale: PositiveFloat = Field(
        default=1.0, description="correlation length of the random initial states [length]"
    )
    amplitude: PositiveFloat = Field(default=1.0, description="standard deviation of the random initial states")
    initial_state: dict[str, str | float] = Field(
        default={}, description="formula (of x, y, z) by channel that replaces the random initial state"
    )
    execution: Execution = Field(default="auto", description="how the equation's step is run")
    chunk: PositiveInt | None = Field(
        default=None,
        description="simulations that are made together, which is what the workers of `compute` get; the last digits "
        "may depend on it; null: all",
    )

    @field_validator("initial_state")
    @classmethod
    def _formulas(cls, value: dict[str, str | float]) -> dict[str, str | float]:
        for formula in value.values():
            Expression(str(formula)).require(("x", "y", "z"))
        return value


def initial_states(equation: Equation, config: GenerationConfig, seed: int) -> Tensor:
    """The initial states of all simulations, `[S, C, *space]`: random ones, or the formulas of the configuration.

    Raises:
        ValueError: a formula is given for a channel that the equation does not have.
    """
    generator = stream(seed, "initial_states")
    starts = equation.initial_states(config.simulations, config.length_scale, config.amplitude, generator)
    layout = equation.layout
    for name, formula in config.initial_state.items():
        if name not in layout.channels:
            raise ValueError(f"generation.initial_state names {name!r}; the channels are {', '.join(layout.channels)}")
        channel = layout.channels.index(name)
        if layout.shape != layout.grid.resolution:
            raise ValueError("generation.initial_state: formulas are for centred fields; this equation is staggered")
        starts[:, channel] = Expression(str(formula)).on_grid(layout.grid)
    return starts


def simulate(equation: Equation, starts: Tensor, steps: int, execution: Execution = "auto") -> Tensor:
    """Trajectories `[S, steps + 1, C, *space]` from initial states `[S, C, *space]`, true parameters.

    Ranges of the equation that are `auto` follow the states, see `simulated`.

    Raises:
        FloatingPointError: a simulation is not finite.
        ValueError: the states leave the range that the equation's step is made for.
    """
    return simulated(equation, starts, steps, execution)[1]


def simulated(
    equation: Equation,
    starts: Tensor,
    steps: int,
    execution: Execution = "auto",
    *,
    parameters: Mapping[str, Tensor] | None = None,
    make: Make | None = None,
) -> tuple[Equation, Tensor]:
    """The same, and the equation that made them: with numbers for its ranges that are `auto`.

    They cover the initial states. Where the states leave them (a force may speed a flow up) the simulations are made
    again, with ranges that cover what was reached.

    Args:
        parameters: values in the place of the true ones, as a `Stepper` takes them.
        make: makes the trajectories of an equation with numbers for its ranges, where not `rolled_out` does.

    Raises:
        FloatingPointError: also, the states ask for more sub-steps than any run has.
        ValueError: see `simulate`.
    """
    given = {name: (float(value.min()), float(value.max())) for name, value in (parameters or {}).items()}
    own = covering(equation, equation.reach(starts), given) if equation.config.open_ranges else equation
    while True:
        trajectories = make(own) if make else rolled_out(own, starts, steps, execution, parameters)
        reason = next((text for (part,) in parts(trajectories) if (text := own.unsuitable(part)) is not None), None)
        if reason is None:
            return own, trajectories
        wider = covering(equation, equation.reach(trajectories), given)
        if wider.config == own.config:  # so it is where no range is open
            raise ValueError(reason)
        if wider.substeps > _MOST_SUBSTEPS:
            raise FloatingPointError(
                f"a simulation grows from {equation.reach(starts):.3g} to {equation.reach(trajectories):.3g}; a step "
                f"of equation.dt asks for {wider.substeps:.2g} sub-steps: do the states grow without end? Choose other "
                "initial states or parameters, or lower equation.dt"
            )
        own = wider


@torch.no_grad()
def rolled_out(
    equation: Equation,
    starts: Tensor,
    steps: int,
    execution: Execution = "auto",
    parameters: Mapping[str, Tensor] | None = None,
    chunk: int | None = None,
) -> Tensor:
    """Trajectories `[S, steps + 1, C, *space]` of an equation with numbers for its ranges, wherever they lead.

    Args:
        parameters: values in the place of the true ones.
        chunk: how many are made together; None: all.

    Raises:
        FloatingPointError: a simulation is not finite.
    """
    stepper = Stepper(equation, execution, work=steps)
    given = {**equation.parameter_tensors(starts.dtype, starts.device), **(parameters or {})}
    parts = [
        torch.cat([part[:, None], rollout(stepper.bind(part, given), part, steps)], dim=1)
        for part in torch.split(starts, chunk or len(starts))
    ]
    trajectories = parts[0] if len(parts) == 1 else torch.cat(parts)
    if not torch.isfinite(trajectories).all():
        moving = any("t" in field.walls.names for field in equation.layout.fields)
        walls = ", and see that the formulas of equation.boundary have a value at all times" if moving else ""
        raise FloatingPointError(f"a simulation is not finite: lower equation.dt or generation.amplitude{walls}")
    return trajectories


def generate(
    equation: Equation, config: GenerationConfig, seed: int, make: Callable[[Equation, Tensor], Tensor] | None = None
) -> Bundle:
    """All simulations of an experiment as a bundle: tensor `trajectories`, with layout and `dt` in the metadata.

    Args:
        equation, config: of the experiment.
        seed: of the initial states.
        make: makes the trajectories of an equation from initial states; None: `rolled_out`, here.
    """
    starts = initial_states(equation, config, seed)

    def trajectories_of(own: Equation) -> Tensor:
        if make is not None:
            return make(own, starts)
        return rolled_out(own, starts, config.steps, config.execution, chunk=config.chunk)

    _, trajectories = simulated(equation, starts, config.steps, config.execution, make=trajectories_of)
    metadata: dict[str, Any] = {
        "kind": "trajectories",
        "layout": equation.layout.to_dict(),
        "dt": equation.dt,
        "parameters": {k: v for k, v in equation.parameters.items() if not isinstance(v, Tensor)},
    }
    return Bundle(tensors={"trajectories": trajectories}, metadata=metadata)
