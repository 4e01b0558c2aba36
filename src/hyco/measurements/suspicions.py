"""What is allowed, but probably not meant: a warning for each in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from hyco.fields import Layout
from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.rows import Rows
from hyco.observations.statistics import ROUNDING

log = logging.getLogger(__name__)

# Zeros are taken for missing values where they are this part of all values, and as many, and ten times as many as
# other values that are as small as this part of the largest.
_SHARE, _COUNT, _RATIO, _SMALL = 0.01, 5, 10, 1e-3


def warn_of_oddities(rows: Rows, config: MeasurementsConfig, layout: Layout) -> None:
    """Log a line for each constant channel, for zeros that look like missing values, and for repeated measurements."""
    for c, channel in enumerate(layout.channels):
        if channel in config.fields:
            values = rows.values[:, c]
            for text in _oddities(values[np.isfinite(values)]):
                log.warning("%s: %s: %s", config.file, config.fields[channel], text)

    table = np.column_stack([rows.simulation, rows.time, rows.position, rows.values])
    again = np.flatnonzero(pd.DataFrame(table).duplicated().to_numpy())
    if len(again):
        text = "%s: %s: %d measurements repeat earlier ones to the last digit, the first here: are they copies?"
        log.warning(text, config.file, rows.place(int(again[0])), len(again))


def warn_of_boundary(dataset: xr.Dataset, config: MeasurementsConfig, layout: Layout) -> None:
    """Log a line for each axis that is periodic in the equation or by the file's `boundary`, but not in both."""
    kinds: dict[str, str] = dataset.attrs.get("boundary", {})
    for axis, periodic in zip(layout.grid.axes, layout.periodic, strict=True):
        kind = kinds.get(config.axes[axis].rpartition("/")[2])
        if kind is not None and (kind == "periodic") != periodic:
            text = "%s: the file says that %s is %s, the equation's boundary is %speriodic"
            log.warning(text, config.file, axis, kind, "" if periodic else "not ")


def _oddities(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Iterator[str]:
    if not len(values):
        return
    largest = float(np.abs(values).max())
    if len(values) > 1 and float(np.ptp(values)) <= ROUNDING * largest:
        yield f"all {len(values)} values are {values[0]:g}"
        return
    zeros = int((values == 0).sum())
    near = int(((values != 0) & (np.abs(values) < _SMALL * largest)).sum())
    if zeros >= max(_COUNT, _SHARE * len(values)) and zeros > _RATIO * near:
        yield (
            f"{zeros} of {len(values)} values are exactly 0 and hardly any other is close to it: are they missing "
            "values? Leave those empty (NaN)"
        )
