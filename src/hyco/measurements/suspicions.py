"""What is allowed, but probably not meant: a warning for each in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from hyco.fields import Layout
from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.noise import Noise
from hyco.measurements.rows import Rows
from hyco.observations import Observations
from hyco.observations.statistics import ROUNDING

log = logging.getLogger(__name__)

# Zeros are taken for missing values where they are this part of all values, and as many, and ten times as many as
# other values that are as small as this part of the largest.
_SHARE, _COUNT, _RATIO, _SMALL = 0.01, 5, 10, 1e-3
# Values of one place and time contradict each other if they are so many standard deviations of the noise apart; where
# it is not known, if this part of them does.
_FAR, _CONTRADICTORY = 10.0, 0.1
# Counts are looked at up to so many, and are off whole numbers by so much at most, for rounding.
_FEW, _OFF = 25.5, 0.15


def warn_of_oddities(rows: Rows, config: MeasurementsConfig, layout: Layout) -> None:
    """Log a line for each constant channel, for zeros that look like missing values, and for repeated measurements."""
    for c, channel in enumerate(layout.channels):
        if channel in config.fields:
            values = rows.values[:, c]
            for text in _oddities(values[np.isfinite(values)]):
                log.warning("%s: %s: %s", config.file, ", ".join(config.columns_of(channel)), text)

    again = _repeated(rows)
    if len(again):
        text = "%s: %s: %d measurements repeat earlier ones to the last digit, the first here: are they copies?"
        log.warning(text, config.file, rows.place(int(again[0])), len(again))


def warn_of_contradictions(rows: Rows, noise: Noise, config: MeasurementsConfig, layout: Layout) -> None:
    """Log a line for each channel whose values at one place and time are too far apart to be of one state.

    That is where two of them differ by more than `_FAR` standard deviations of the noise; where that is not known,
    where as many as a tenth of the values that stand at one place and time differ from those before them by more than
    the standard deviation of all.
    """
    same = _equal([rows.simulation, rows.time, *rows.position.T, *rows.replicate])
    if not len(same.first):
        return
    for c, channel in enumerate(layout.channels):
        values = rows.values[:, c]
        if channel not in config.fields:
            continue
        gap = np.abs(values[same.again] - values[same.first])
        told = np.isfinite(gap)
        if not told.any():
            continue
        if float(noise.std[c]) > 0:
            sigma = noise.std[c].item() if noise.of_rows is None else noise.of_rows[same.again, c]
            wrong, than = gap > _FAR * sigma, f"{_FAR:g} times std"
            few = 1.0
        else:
            spread = float(np.nanstd(values))
            wrong, than = gap > spread, f"the standard deviation of all, {spread:.3g},"
            few = max(_COUNT, _CONTRADICTORY * np.count_nonzero(told))
        count = int(np.count_nonzero(wrong & told))
        if count < few:
            continue
        worst = int(np.nanargmax(np.where(wrong, gap, np.nan)))
        text = (
            "%s: %s: %d of %d values are more than %s from another one of the same place and time, most %s (%.4g) "
            "and %s (%.4g): %s"
        )
        earlier, later = int(same.first[worst]), int(same.again[worst])
        log.warning(
            text,
            config.file,
            config.fields[channel],
            count,
            int(np.count_nonzero(told)),
            than,
            rows.place(earlier),
            values[earlier],
            rows.place(later),
            values[later],
            "are they of several trajectories? Name what tells these apart as measurements.simulation"
            if config.simulation is None
            else f"does measurements.simulation, {config.simulation}, tell all trajectories apart?",
        )


def warn_of_values(observations: Observations) -> None:
    """The same of the values of observations that came in memory; without noise, exact zeros are no surprise."""
    if not observations.noise_known:
        return
    for c, channel in enumerate(observations.layout.channels):
        values = observations.values[:, :, c][observations.mask[:, :, c]].numpy()
        for text in _oddities(values):
            log.warning("Observations: %s: %s", channel, text)


def _repeated(rows: Rows) -> NDArray[np.int64]:
    """Which measurements are equal to an earlier one."""
    return np.sort(_equal([rows.simulation, rows.time, *rows.position.T, *rows.values.T, *rows.replicate]).again)


@dataclass(frozen=True)
class _Equal:
    """Pairs of rows that are equal in some columns: `again` and the one before it, each in the order of the file."""

    first: NDArray[np.int64]
    again: NDArray[np.int64]


def _equal(columns: Sequence[NDArray[Any]]) -> _Equal:
    """Which rows are equal to an earlier one in all of some columns `[n]`; all NaN are equal.

    A number is made of each, and only those whose numbers are equal are compared, since that takes much memory.
    """
    mixed = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        # Zeros of both signs are equal, and so are all NaN.
        bits = (np.where(np.isnan(column), np.nan, column) + 0.0).view(np.uint64)
        mixed ^= bits
        mixed *= np.uint64(0x9E3779B97F4A7C15)  # odd, so that nothing is lost; the golden ratio mixes well
        mixed ^= mixed >> np.uint64(29)
    ordered = np.sort(mixed)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return _Equal(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    maybe: NDArray[np.int64] = np.flatnonzero(np.isin(mixed, twice))
    table = pd.DataFrame({i: column[maybe] for i, column in enumerate(columns)})
    group = table.groupby(list(table), sort=False, dropna=False).ngroup().to_numpy()
    order = np.argsort(group, kind="stable")
    follows = np.flatnonzero(np.diff(group[order]) == 0)
    return _Equal(maybe[order[follows]], maybe[order[follows + 1]])


def warn_of_boundary(dataset: xr.Dataset, config: MeasurementsConfig, layout: Layout) -> None:
    """Log a line for each axis that is periodic in the equation or by the file's `boundary`, but not in both."""
    kinds: dict[str, str] = dataset.attrs.get("boundary", {})
    for axis, periodic in zip(layout.grid.axes, layout.periodic, strict=True):
        kind = kinds.get(config.name_of(axis).rpartition("/")[2])
        if kind is not None and (kind == "periodic") != periodic:
            text = "%s: the file says that %s is %s, the equation's boundary is %speriodic"
            log.warning(text, config.file, axis, kind, "" if periodic else "not ")


# Numbers that instruments and programs write where there is no value.
_SENTINELS = (-9999.0, -999.0, -99.0, 9999.0, 99999.0, -99999.0, 1e20, 1e30, -1e30, 9.96921e36)
# So many times larger than all other values.
_APART = 5


def _sentinel(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str | None:
    for sentinel in _SENTINELS:
        there = np.isclose(values, sentinel, rtol=1e-6)
        if there.any() and not there.all() and np.abs(values[~there]).max() * _APART < abs(sentinel):
            return (
                f"{int(there.sum())} of {len(values)} values are {sentinel:g}, far from all others: are they missing "
                "values? Leave those empty (NaN)"
            )
    return None


def _are_counts(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    """Whether values are whole multiples of the smallest but zero, as counts are, of which none is nothing unusual."""
    least = float(np.abs(values[values != 0]).min(initial=np.inf))
    ratios = np.abs(values[(values != 0) & (np.abs(values) < _FEW * least)]) / least
    return len(np.unique(np.rint(ratios))) >= _COUNT and bool((np.abs(ratios - np.rint(ratios)) < _OFF).all())


def _oddities(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Iterator[str]:
    if not len(values):
        return
    largest = float(np.abs(values).max())
    if len(values) > 1 and float(np.ptp(values)) <= ROUNDING * largest:
        yield f"all {len(values)} values are {values[0]:g}"
        return
    if (text := _sentinel(values)) is not None:
        yield text
    zeros = int((values == 0).sum())
    near = int(((values != 0) & (np.abs(values) < _SMALL * largest)).sum())
    if zeros >= max(_COUNT, _SHARE * len(values)) and zeros > _RATIO * near and not _are_counts(values):
        yield (
            f"{zeros} of {len(values)} values are exactly 0 and hardly any other is close to it: are they missing "
            "values? Leave those empty (NaN)"
        )
