"""The keys of the `measurements` section: what a file of measurements holds, and under which names."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, field_validator, model_validator

from hyco.expressions import Expression

# `std` of noise that the residuals of a fit have to tell.
ESTIMATE = "estimate"
# The same, told by what differs between measurements at one place and time.
REPLICATES = "replicates"
# `initial` of a state that was measured so often that it is taken for exact.
MEASURED = "measured"
# Steps of a trajectory, at most.
LONGEST = 10**7

Names = Annotated[list[str], Field(min_length=1)]
Positions = Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=1)]
Sigma = PositiveFloat | str | Names
End = Annotated[float, Field(allow_inf_nan=False)] | str | None


class MeasurementsConfig(BaseModel):
    """Keys of the `measurements` section.

    A value v of the file becomes scale × v in the units of the equation, a time t becomes scale × (t - start). Channels
    of vectors may be written with a space: `velocity x` is `velocity_x`.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    file: str = Field(
        description="path of the file: .csv, .tsv, .txt, .dat, .parquet (tables) or .nc, .zarr, .h5, .hdf5, .mat, "
        ".npz, .npy (arrays)"
    )
    format: Literal["auto", "table", "array", "pdebench", "the_well"] = Field(
        default="auto",
        description="what is in the file; auto: by its ending, of HDF5 also a layout by its arrays and groups; array: "
        "HDF5 by the paths of its arrays; pdebench: `tensor:1` is the second field of an array of several, times and "
        "positions may be `t`, `x`, `y`, `z`; the_well: `velocity:0` or `velocity x` is a component",
    )
    time: str | None = Field(
        default="time", description="column or variable of the times, numbers or dates; null for a static problem"
    )
    axes: dict[str, str | Positions] = Field(
        min_length=1,
        description="for each axis of the domain the column or variable of it; where a table has a column for each "
        "sensor, a list of the positions of the columns that fields names",
    )
    simulation: str | None = Field(
        default=None,
        description="column, variable or dimension that tells trajectories apart, in pdebench and the_well any word; "
        "null: there is one",
    )
    fields: dict[str, str | Names] = Field(
        min_length=1,
        description="for each measured channel of the equation its column or variable; of replicates a list of them, "
        "each a measurement of its own at the same place and time, or where axes has positions, at these",
    )
    std: Sigma | dict[str, Sigma] = Field(
        default=ESTIMATE,
        description="standard deviation of the noise: a number in units of the channel, a column or variable (of "
        "replicates also a list), estimate (from the residuals), or replicates (from measurements at one place and "
        "time); one for all channels or by channel",
    )
    scale: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        default={}, description="what values of the file are multiplied with, for time, an axis or a channel"
    )
    start: float | str | None = Field(
        default=None, description="time of t = 0 as the file has it, a number or a date; null: the earliest"
    )
    keep: dict[str, tuple[End, End]] = Field(
        default={},
        description="by column or variable the smallest and the largest value, numbers or dates, null: no limit; what "
        "lies beyond is left out",
    )
    initial: Literal["measured"] | dict[str, str | float] | None = Field(
        default=None,
        description="formula of the position for each channel, where the state at t = 0 is known exactly; measured: "
        "the mean of what was measured in each cell at t = 0 is taken for exact",
    )

    @field_validator("fields", "std", "scale", "initial", mode="before")
    @classmethod
    def _channels_by_their_names(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {key.replace(" ", "_") if isinstance(key, str) else key: v for key, v in value.items()}

    @field_validator("std", mode="before")
    @classmethod
    def _noise(cls, value: object) -> object:
        for given in value.values() if isinstance(value, dict) else [value]:
            number = isinstance(given, int | float) and not isinstance(given, bool) and 0 < given < math.inf
            if not number and not (isinstance(given, str | list) and given):
                raise ValueError(f"{given!r} is not allowed; allowed: a positive number, a name, or estimate")
        return value

    @model_validator(mode="after")
    def _one_role_each(self) -> MeasurementsConfig:
        roles = {"time": self.time, "simulation": self.simulation}
        roles |= {f"axes.{axis}": name for axis, name in self.named_axes.items()}
        of_channels = [(channel, name) for channel in self.fields for name in self.columns_of(channel)]
        seen: dict[str, str] = {}
        for role, name in [*roles.items(), *((f"fields.{channel}", name) for channel, name in of_channels)]:
            if name is not None and name in seen:
                raise ValueError(f"{name!r} is {seen[name]} and {role}: a column or variable is one of them")
            if name is not None:
                seen[name] = role
        return self

    @model_validator(mode="after")
    def _a_deviation_for_each_replicate(self) -> MeasurementsConfig:
        for channel, std in self.stds.items():
            count = len(names_of(self.fields.get(channel, 0.0)))
            if isinstance(std, list) and count and len(std) != count:
                raise ValueError(f"std.{channel} names {len(std)}, fields.{channel} {count}: one for all, or one each")
        return self

    @model_validator(mode="after")
    def _a_position_for_each_column(self) -> MeasurementsConfig:
        for axis, positions in self.axes.items():
            for channel in self.fields:
                count = len(self.columns_of(channel))
                if isinstance(positions, list) and count != len(positions):
                    raise ValueError(f"axes.{axis} has {len(positions)} positions, fields.{channel} {count} column(s)")
        return self

    @model_validator(mode="after")
    def _ranges_in_order(self) -> MeasurementsConfig:
        for name, (low, high) in self.keep.items():
            if low is None and high is None:
                raise ValueError(f"keep.{name}: [null, null] keeps all; leave it out, or give an end")
            if isinstance(low, float) and isinstance(high, float) and low > high:
                raise ValueError(f"keep.{name}: {low:g} is above {high:g}; give the smallest value first")
        return self

    @field_validator("initial")
    @classmethod
    def _formulas(cls, initial: str | dict[str, str | float] | None) -> str | dict[str, str | float] | None:
        for formula in initial.values() if isinstance(initial, dict) else ():
            Expression(str(formula))
        return initial

    @model_validator(mode="after")
    def _sensible_scales(self) -> MeasurementsConfig:
        for name, factor in self.scale.items():
            if factor == 0 or (factor < 0 and name in ("time", *self.axes)):
                kind = "positive" if name in ("time", *self.axes) else "other than 0"
                raise ValueError(f"scale.{name} must be {kind}, got {factor:g}")
        if isinstance(self.start, float) and not math.isfinite(self.start):
            raise ValueError(f"start must be finite, got {self.start}")
        return self

    @property
    def stds(self) -> dict[str, float | str | list[str]]:
        """What is said of the noise of each measured channel; a channel that `std` does not name is not in it."""
        return dict(self.std) if isinstance(self.std, dict) else dict.fromkeys(self.fields, self.std)

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names in the file of times and positions."""
        return (*(() if self.time is None else (self.time,)), *self.named_axes.values())

    @property
    def named_axes(self) -> dict[str, str]:
        """The axes whose positions the file has, with their names there."""
        return {axis: name for axis, name in self.axes.items() if isinstance(name, str)}

    def name_of(self, axis: str) -> str:
        """What the positions along an axis are called in messages."""
        return self.named_axes.get(axis, f"axes.{axis}")

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names in the file of values and of standard deviations."""
        values = [name for channel in self.fields for name in self.columns_of(channel)]
        stds = [name for std in self.stds.values() if std not in (ESTIMATE, REPLICATES) for name in names_of(std)]
        return tuple(dict.fromkeys([*values, *stds]))

    @property
    def replicates(self) -> int:
        """The largest number of columns or variables of a channel."""
        return max(len(self.columns_of(channel)) for channel in self.fields)

    def columns_of(self, channel: str) -> tuple[str, ...]:
        """Names in the file of the values of a measured channel."""
        return names_of(self.fields[channel])


def names_of(given: float | str | list[str]) -> tuple[str, ...]:
    """The names in what is a number, a name or several names."""
    if isinstance(given, int | float):
        return ()
    return (given,) if isinstance(given, str) else tuple(given)
