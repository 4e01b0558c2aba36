"""When and where each residual was measured, and pairs of residuals that are near each other in time or in space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from hyco.inversion.measured_residuals import MeasuredResiduals
from hyco.observations.interpolation import entry_coordinates

# Steps between measurements of one sensor that are looked at, and fewer pairs than which say nothing.
LAGS, FEWEST = 8, 20
# Ends of the classes of distances, in units of that between nearest places; by dimension how many of them are used.
_ENDS, _CLASSES = (1.2, 1.7, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5), {1: 9, 2: 5, 3: 3}
# Places of which neighbours are looked for at once, and pairs of one class that are used.
_MOST_PLACES, _MOST_PAIRS = 20_000, 100_000


@dataclass(frozen=True)
class Places:
    """When and where the residuals `[N]` were measured.

    Attributes:
        simulation, channel, state, entry: numbers of each, `[N]`: of the training simulation, of the channel, of the
            state in the data's `times`, and of the entry of that state, flattened.
        sensor: the same number where simulation, channel and entry are the same, `[N]`: a cell, or a sensor that may
            move.
        time: `[N]` [time].
        position: `[N, d]` [length].
        period: length of each periodic axis, `[d]`, 0 of others.
        on_grid: whether entries are those of a state, of the shape `shape`, with cells of the widths `spacing`.
    """

    simulation: Tensor
    channel: Tensor
    state: Tensor
    entry: Tensor
    sensor: Tensor
    time: Tensor
    position: Tensor
    period: tuple[float, ...]
    on_grid: bool
    shape: tuple[int, ...]
    spacing: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def of(cls, data: MeasuredResiduals, steps: int) -> Places:
        """Of all residuals up to a horizon, in their order."""
        seen, layout = data.observations, data.observations.layout
        mask = data.up_to(steps)[1].cpu()
        simulation, state, channel, entry = mask.flatten(3).nonzero().T
        times = torch.tensor(data.times)
        number, train = times[state], torch.tensor(seen.train)[simulation]
        time = number.double()
        cells = torch.stack(
            [
                torch.stack(torch.meshgrid(*entry_coordinates(layout, c).values(), indexing="ij"), -1).flatten(0, -2)
                for c in range(len(layout.channels))
            ]
        )
        whole = torch.ones_like(number, dtype=torch.bool)
        if seen.positions is not None:
            # With a start that was measured as a whole its entries are cells.
            whole = (number == 0) & (seen.initial_state == "full")
        position = torch.empty((len(number), layout.grid.dimensions), dtype=torch.float64)
        position[whole] = cells[channel[whole], entry[whole]]
        if seen.positions is not None:
            at = (train[~whole], number[~whole], entry[~whole])
            position[~whole] = seen.positions[at]
            if seen.offsets is not None:
                time[~whole] += seen.offsets[at]
        most = int(mask.flatten(3).shape[3])
        sensor = ((simulation * mask.shape[2] + channel) * 2 + (whole & (seen.positions is not None))) * most + entry
        size = layout.grid.size
        period = tuple(s if periodic else 0.0 for s, periodic in zip(size, layout.periodic, strict=True))
        shape, spacing = layout.shape, layout.grid.spacing
        time = seen.dt * time
        return cls(simulation, channel, state, entry, sensor, time, position, period, seen.on_grid, shape, spacing)

    def select(self, which: Tensor) -> Places:
        """Some of the residuals, a mask `[N]`."""
        names = ("simulation", "channel", "state", "entry", "sensor", "time", "position")
        parts: dict[str, Any] = {name: getattr(self, name)[which] for name in names}
        return replace(self, **parts)

    def groups(self) -> Iterator[Tensor]:
        """Numbers of the residuals of each simulation and channel: others have nothing to do with each other."""
        key = self.simulation * (int(self.channel.max()) + 1) + self.channel
        yield from _by_key(key)

    def distances(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Between residuals by number, `[n, m]`, around periodic axes the shorter way."""
        square = torch.zeros((len(rows), len(columns)), dtype=torch.float64)
        for axis, period in enumerate(self.period):
            along = (self.position[rows, axis, None] - self.position[columns, axis]).abs()
            square += (torch.minimum(along, period - along) if period else along).square()
        return square.sqrt()


@dataclass(frozen=True)
class Pairs:
    """Pairs of residuals by number, `[P]` each, and how far apart they are on average [time or length]."""

    first: Tensor
    second: Tensor
    distance: float

    def __len__(self) -> int:
        return len(self.first)


def pairs_in_time(places: Places) -> list[Pairs]:
    """Of one sensor, the next measurement, the one after that, and so on: a class for each."""
    order = torch.from_numpy(np.lexsort((places.time.numpy(), places.sensor.numpy())))
    found = []
    for lag in range(1, LAGS + 1):
        first, second = order[:-lag], order[lag:]
        same = places.sensor[first] == places.sensor[second]
        first, second = _thinned(first[same], second[same])
        if len(first) < FEWEST:
            break
        found.append(Pairs(first, second, float((places.time[second] - places.time[first]).mean())))
    return found


def pairs_in_space(places: Places) -> list[Pairs]:
    """Of one simulation, channel and time, by distance: the nearest, and classes of farther ones."""
    key = (places.simulation * (int(places.channel.max()) + 1) + places.channel) * (int(places.state.max()) + 1)
    sets = _by_key(key + places.state)
    box = np.array(places.period)
    nearest = _nearest(places, max(sets, key=len), box)
    if nearest is None:
        return []
    classes = _CLASSES[len(box)]
    known: dict[bytes, list[NDArray[np.intp]]] = {}
    # Where there are many times, some of them tell as much.
    enough = max(1, round(len(places) * 2 ** len(box) / _MOST_PAIRS))
    parts: list[list[Tensor]] = [[] for _ in range(classes)]
    for numbers in sets[::enough]:
        at = places.position[numbers].numpy()
        name = at.tobytes()
        if name not in known:
            known[name] = _neighbours(at, box, nearest, classes)
        for part, local in zip(parts, known[name], strict=True):
            part.append(numbers[torch.from_numpy(local)])
    found = []
    for part in parts:
        first, second = _thinned(*torch.cat(part).T)
        if len(first) >= FEWEST:
            square = torch.zeros(len(first), dtype=torch.float64)
            for axis, period in enumerate(places.period):
                along = (places.position[first, axis] - places.position[second, axis]).abs()
                square += (torch.minimum(along, period - along) if period else along).square()
            found.append(Pairs(first, second, float(square.sqrt().mean())))
    return found


def _by_key(key: Tensor) -> list[Tensor]:
    """Numbers of the residuals with each key that there is, in order."""
    order = key.argsort(stable=True)
    return [part for part in torch.split(order, key.bincount().tolist()) if len(part)]


def _thinned(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    every = max(1, -(-len(first) // _MOST_PAIRS))
    return first[::every], second[::every]


def _tree(at: NDArray[np.float64], box: NDArray[np.float64]) -> cKDTree:
    inside = np.where(box > 0, np.mod(at - at.min(axis=0), np.where(box > 0, box, 1.0)), at)
    return cKDTree(inside, boxsize=box if box.any() else None)


def _nearest(places: Places, numbers: Tensor, box: NDArray[np.float64]) -> float | None:
    """Typical distance of a place from the nearest other; None where there are no others."""
    at = np.unique(places.position[numbers].numpy(), axis=0)[:_MOST_PLACES]
    if len(at) < 2:
        return None
    tree = _tree(at, box)
    distances = np.asarray(tree.query(tree.data, k=2)[0])
    return float(np.median(distances[:, 1]))


def _neighbours(
    at: NDArray[np.float64], box: NDArray[np.float64], nearest: float, classes: int
) -> list[NDArray[np.intp]]:
    """Pairs `[n, 2]` of the places of a set, by class of distance."""
    slab = np.argsort(at[:, 0], kind="stable")[:_MOST_PLACES]
    tree = _tree(at[slab], box)
    pairs = tree.query_pairs(_ENDS[classes - 1] * nearest, output_type="ndarray")
    apart = np.abs(tree.data[pairs[:, 0]] - tree.data[pairs[:, 1]])
    apart = np.where(box > 0, np.minimum(apart, np.where(box > 0, box, np.inf) - apart), apart)
    kind = np.searchsorted(np.array(_ENDS[:classes]) * nearest, np.sqrt((apart**2).sum(axis=1)))
    return [slab[pairs[kind == number]] for number in range(classes)]
