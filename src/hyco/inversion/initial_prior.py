"""Prior knowledge of initial states that were not measured exactly, given or taken from the measurements."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, field_validator
from torch import Tensor

from hyco.equations.initial_states import relaxed_wall_field
from hyco.inversion.correlation import Sample, most_likely
from hyco.observations import Observations
from hyco.observations.filling import positions_of_entries
from hyco.observations.interpolation import stencil

log = logging.getLogger(__name__)

Auto = Literal["auto"]
# Values of each channel that are looked at, the earliest; and of each trajectory, for a matrix of them.
_ENOUGH, _MOST = 30, 150
# Fields that are looked at.
_MOST_FIELDS = 5
# The correlation length where the data do not tell it, as a part of the smallest extent; how many others are tried.
_BELIEVED, _TRIED = 0.2, 12
# An amplitude is no smaller than this part of the values: states that were measured alike need not be alike.
_SMALLEST = 1e-3


class InitialStatePrior(BaseModel):
    """Keys of `physical.initial_state`: prior knowledge of initial states that were not measured exactly.

    The prior is a Gaussian random field with covariance amplitude² exp(-r²/2 length_scale²) away from walls. It keeps
    the boundary conditions. Its mean is a number that goes over into the walls' values within a correlation length;
    without a mean it is zero, or the smoothest field that has the walls' values.

    `auto` takes a key from the measurements of the training simulations: mean and standard deviation (noise taken off)
    of the earliest values of each channel, and the length under which these are most likely as a Gaussian process. A
    channel that was never measured has the mean 0 and the largest amplitude of the others.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    length_scale: PositiveFloat | Auto = Field(default="auto", description="correlation length [length]")
    amplitude: PositiveFloat | Auto | dict[str, PositiveFloat] | None = Field(
        default=None,
        description="standard deviation, in units of the channels; one for all or by channel; null: 1 where "
        "length_scale is a number, else auto",
    )
    mean: float | Auto | dict[str, float] | None = Field(
        default=None,
        description="mean, in units of the channels; one for all or by channel; null: auto where another key is auto, "
        "else 0 (or, where walls have values, the smoothest field with these)",
    )

    @field_validator("amplitude", "mean", mode="before")
    @classmethod
    def _channels_by_their_names(cls, value: object) -> object:
        return {str(k).replace(" ", "_"): v for k, v in value.items()} if isinstance(value, Mapping) else value

    @property
    def own_amplitude(self) -> float | Auto | dict[str, float]:
        """The amplitude with its default."""
        if self.amplitude is not None:
            return self.amplitude
        return "auto" if self.length_scale == "auto" else 1.0

    @property
    def own_mean(self) -> float | Auto | dict[str, float] | None:
        """The mean with its default; None: none but what the walls ask for."""
        if self.mean is None and "auto" in (self.length_scale, self.own_amplitude):
            return "auto"
        return self.mean

    @property
    def channels(self) -> set[str]:
        """Names of the channels that keys name."""
        return {name for key in (self.amplitude, self.mean) if isinstance(key, dict) for name in key}

    def to_json(self) -> dict[str, Any]:
        """As the estimate and the report have it, defaults in the place of null."""
        return {"length_scale": self.length_scale, "amplitude": self.own_amplitude, "mean": self.own_mean}

    def by_channel(self, channels: tuple[str, ...]) -> tuple[float, list[float], list[float] | None]:
        """Length, amplitude and mean by channel; the latter None where there is none.

        Raises:
            ValueError: one is still to be taken from the data, or a channel is missing.
        """
        if "auto" in (self.length_scale, self.own_amplitude, self.own_mean):
            raise ValueError("physical.initial_state: auto needs measurements to be taken from")
        mean = self.own_mean
        return (
            float(self.length_scale),
            _of_each("amplitude", self.own_amplitude, channels),
            None if mean is None else _of_each("mean", mean, channels),
        )


def _of_each(key: str, value: Any, channels: tuple[str, ...]) -> list[float]:
    if not isinstance(value, dict):
        return [float(value)] * len(channels)
    if lacking := [c for c in channels if c not in value]:
        raise ValueError(f"physical.initial_state.{key} names some channels but not {', '.join(lacking)}: name all")
    return [float(value[c]) for c in channels]


def with_data(prior: InitialStatePrior, observations: Observations, *, tell: bool = True) -> InitialStatePrior:
    """The prior with numbers for what is `auto`, which are logged unless `tell` is false."""
    amplitude, mean = prior.own_amplitude, prior.own_mean
    if "auto" not in (prior.length_scale, amplitude, mean):
        return prior
    layout = observations.layout
    channels, grid = layout.channels, layout.grid
    early = [_early(observations, c) for c in range(len(channels))]
    measured = [c for c, fields in enumerate(early) if fields]
    means = _means(early) if mean == "auto" else _of_each("mean", 0.0 if mean is None else mean, channels)
    believed = _BELIEVED * min(grid.size)
    noise = observations.noise_std.tolist()
    samples = [_samples(early[c], observations, means[c], believed, noise[c] or None) for c in measured]
    if prior.length_scale == "auto":
        shortest, longest = 2 * max(grid.spacing), max(grid.size)
        lengths = torch.logspace(0, 1, _TRIED, longest / shortest, dtype=torch.float64) * shortest
        tried, fallback = lengths.tolist(), believed
    else:
        tried, fallback = [], float(prior.length_scale)
    given: list[float | None] = [None] * len(measured)
    if amplitude != "auto":
        numbers = _of_each("amplitude", amplitude, channels)
        given = [numbers[c] for c in measured]
    period = [size if wraps else 0.0 for wraps, size in zip(layout.periodic, grid.size, strict=True)]
    found = most_likely(samples, tried, fallback, period, given)
    if amplitude == "auto":
        numbers = [max(found.amplitudes, default=1.0)] * len(channels)
        for c, own in zip(measured, found.amplitudes, strict=True):
            sizes = torch.cat([values for _, values in early[c]]).abs().max()
            numbers[c] = max(own, noise[c], _SMALLEST * float(sizes)) or 1.0
    by_name = {name: (means[c], numbers[c]) for c, name in enumerate(channels)}
    if tell:
        hidden = {name: by_name[name] for c, name in enumerate(channels) if c not in measured}
        guessed = prior.length_scale == "auto" and not found.told
        _tell(found.length, by_name, hidden if "auto" in (amplitude, mean) else {}, guessed=guessed)
    return InitialStatePrior(
        length_scale=found.length,
        amplitude={name: size for name, (_, size) in by_name.items()},
        mean=None if mean is None else {name: value for name, (value, _) in by_name.items()},
    )


def _tell(
    length: float,
    channels: Mapping[str, tuple[float, float]],
    hidden: Mapping[str, tuple[float, float]],
    *,
    guessed: bool,
) -> None:
    log.log(
        logging.WARNING if guessed else logging.INFO,
        "Prior of the states at t = 0, from the measurements where it is not given: correlation length %.3g%s; %s.",
        length,
        " (a guess, as the data do not tell it: say physical.initial_state.length_scale)" if guessed else "",
        _words(channels),
    )
    if hidden:
        log.warning(
            "%s: never measured, so that its state at t = 0 is an unknown with a prior that no data tell: say in "
            "physical.initial_state (mean, amplitude) what is known of it.",
            _words(hidden),
        )


def _words(channels: Mapping[str, tuple[float, float]]) -> str:
    return ", ".join(f"{name} {mean:.4g} ± {amplitude:.3g}" for name, (mean, amplitude) in channels.items())


def first_guess(prior: InitialStatePrior, observations: Observations) -> Tensor:
    """States at t = 0 of the training simulations that a search begins with, `[S, C, *space]`.

    Those of the observations; of a channel that was never measured the prior's mean and half an amplitude: a channel
    that is zero everywhere is one that the others often do not feel, so that a search could not leave it.
    """
    states = observations.initial_states[observations.train]
    measured = observations.mask[observations.train].any(dim=0).any(dim=0).flatten(1).any(dim=1)
    if bool(measured.all()):
        return states
    _, amplitudes, mean = prior.by_channel(observations.layout.channels)
    states = states.clone()
    for c in (~measured).nonzero().flatten().tolist():
        states[:, c] = (0.0 if mean is None else mean[c]) + amplitudes[c] / 2
    return states


def _early(observations: Observations, channel: int) -> list[tuple[Tensor, Tensor]]:
    """The earliest measurements of a channel, for some training simulations: positions `[n, d]` and values `[n]`.

    Of what was measured at one place at several times the first: later it is another state, whose difference would
    look like noise, or like a long correlation.
    """
    layout, fields = observations.layout, []
    spacing = torch.tensor(layout.grid.spacing, dtype=torch.float64)
    centres = positions_of_entries(layout, channel).reshape(-1, layout.grid.dimensions)
    for simulation in observations.train[:_MOST_FIELDS]:
        positions: list[Tensor] = []
        values: list[Tensor] = []
        count = 0
        known: set[tuple[int, ...]] = set()
        for step in range(observations.steps + 1):
            seen = observations.mask[simulation, step, channel].flatten()
            if observations.initial_known or not bool(seen.any()):
                continue
            whole = observations.on_grid or (step == 0 and observations.initial_state == "full")
            if whole:
                places = centres
            else:
                assert observations.positions is not None
                places = observations.positions[simulation, step]
            places, found = places[seen[: len(places)]], observations.values[simulation, step, channel].flatten()[seen]
            if not values and len(found) >= _ENOUGH:  # a whole state, as a rule: no other is looked at
                positions, values, count = [places], [found], len(found)
                break
            cells = [tuple(cell) for cell in (places / spacing).floor().long().tolist()]
            new = torch.tensor([cell not in known for cell in cells])
            known.update(cells)
            values.append(found[new])
            positions.append(places[new])
            count += int(new.sum())
            if count >= _ENOUGH:
                break
        if values:
            chosen = torch.linspace(0, count - 1, min(count, _MOST), dtype=torch.float64).round().long()
            fields.append((torch.cat(positions)[chosen], torch.cat(values)[chosen]))
    return fields


def _means(early: list[list[tuple[Tensor, Tensor]]]) -> list[float]:
    return [float(torch.cat([v for _, v in fields]).mean()) if fields else 0.0 for fields in early]


def _samples(
    fields: list[tuple[Tensor, Tensor]], observations: Observations, mean: float, length: float, noise: float | None
) -> list[Sample]:
    """The values of a channel less the mean that a prior would have there."""
    layout = observations.layout
    about = relaxed_wall_field(layout.grid, layout.fields[0].walls, mean, length).flatten()
    samples = []
    for positions, values in fields:
        read = stencil(layout, positions)
        expected = (about[read.indices[:, 0]] * read.weights[:, 0]).sum(dim=-1) + read.offset[:, 0]
        samples.append(Sample(positions, values - expected, noise))
    return samples
