"""When: the modes of `observation.time`, each a choice of the states that are observed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt


class _Mode(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class FullTime(_Mode):
    """Every state."""

    mode: Literal["full"] = "full"

    def indices(self, steps: int) -> list[int]:
        """Observed states, 0 to `steps`."""
        return list(range(steps + 1))


class EndpointsTime(_Mode):
    """The first and the last state."""

    mode: Literal["endpoints"]

    def indices(self, steps: int) -> list[int]:
        """Observed states, 0 to `steps`."""
        return [0, steps]


class UniformTime(_Mode):
    """Every n-th state, from the first."""

    mode: Literal["uniform"]
    every: PositiveInt = Field(description="steps between two observed states")

    def indices(self, steps: int) -> list[int]:
        """Observed states, 0 to `steps`."""
        return list(range(0, steps + 1, self.every))


class CustomTime(_Mode):
    """States given by index."""

    mode: Literal["custom"]
    indices_: list[NonNegativeInt] = Field(alias="indices", min_length=1, description="observed states, 0 the initial")

    def indices(self, steps: int) -> list[int]:
        """Observed states, 0 to `steps`.

        Raises:
            ValueError: an index lies beyond the trajectory.
        """
        if max(self.indices_) > steps:
            raise ValueError(f"observation.time.indices holds {max(self.indices_)}, the last state is {steps}")
        return sorted(set(self.indices_))


Time = Annotated[FullTime | EndpointsTime | UniformTime | CustomTime, Field(discriminator="mode")]
