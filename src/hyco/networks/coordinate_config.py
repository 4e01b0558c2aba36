"""What all networks of the coordinates (x, t) demand of a training: a whole trajectory, of centred fields."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from hyco.networks.network import NetworkConfig, TrainingSetup

# Keys of the section `synthetic` that are about steps.
_OF_STEPPING = (
    "use_sliding_window",
    "curriculum",
    "backpropagation_steps",
    "input_noise",
    "precision",
    "gradient_checkpointing",
)


class CoordinateConfig(NetworkConfig):
    """Keys of every network that maps a place and a time to the state there; it does not step states."""

    stepping: ClassVar[bool] = False

    coordinates: Literal[True] = Field(default=True, description="the position is the network's input")

    def mistakes(self, setup: TrainingSetup) -> list[tuple[str, str]]:
        """It knows one trajectory, as a whole, and nothing of steps."""
        mistakes = []
        if setup.layout.shape != setup.layout.grid.resolution:
            mistakes.append(("name", f"{self.name} is for centred fields; {setup.equation} has staggered ones"))
        if setup.random_channels:
            text = (
                f"{self.name} maps (x, t) to one trajectory, but the simulations start from random states: give "
                f"{', '.join(setup.random_channels)} in generation.initial_state, or use a network that steps states"
            )
            mistakes.append(("name", text))
        for key in _OF_STEPPING:
            if key in setup.changed:
                default = setup.changed[key]
                allowed = "null" if default is None else str(default).lower()
                text = f"is for networks that step states, not for {self.name}; allowed: {allowed}"
                mistakes.append((key, text))
        if setup.num_predict_steps < setup.steps:
            text = (
                f"{setup.num_predict_steps} is a part of the trajectory, of which {self.name} predicts all: set it to "
                f"generation.steps = {setup.steps}"
            )
            mistakes.append(("num_predict_steps", text))
        if setup.fresh_starts:
            text = f"{setup.fresh_starts} fresh starts are for networks that step states; allowed: 0 (see ghost_points)"
            mistakes.append(("fresh_starts", text))
        return mistakes
