"""Zarr, versions 2 and 3: a folder with the conventions of CF, as xarray writes it. No pickles."""

from __future__ import annotations

import logging
from pathlib import Path

import xarray as xr

from hyco.measurements.formats import cf
from hyco.measurements.formats.format import Format, Wanted
from hyco.observations.checks import MeasurementError

log = logging.getLogger(__name__)


def _open(path: Path) -> xr.Dataset:
    """The store as it is on disk, for a `with`.

    Raises:
        MeasurementError: it is no store of Zarr, or its axes have no names.
    """
    try:
        return xr.open_dataset(path, engine="zarr", decode_cf=False, create_default_indexes=False, consolidated=False)
    except cf.UNREADABLE as error:
        raise MeasurementError(f"it cannot be read as Zarr: {' '.join(str(error).split())[:200]}") from error


def _names(path: Path) -> tuple[str, ...]:
    with _open(path) as dataset:
        return cf.names(dataset)


def _read(path: Path, wanted: Wanted) -> xr.Dataset:
    with _open(path) as dataset:
        _check(path, wanted)
        return cf.read(dataset, wanted)


def _check(path: Path, wanted: Wanted) -> None:
    """Whether no array is decoded by pickle; tells of chunks that are not there, which Zarr takes for fill values.

    Raises:
        MeasurementError: one is.
    """
    import zarr  # half a second that other formats need not wait for

    for name, array in zarr.open_group(path, mode="r", use_consolidated=False).arrays():
        if "pickle" in str(array.metadata.to_dict()).lower():
            raise MeasurementError(f"{name} holds pickled Python objects, which are not read")
        absent = array.nchunks - array.nchunks_initialized if name in wanted.names else 0
        if absent:
            text = "%s: %s: %d of %d chunks are not in the store: their entries are the fill value, %s"
            log.warning(text, path, name, absent, array.nchunks, array.fill_value)


ZARR = Format(kind="array", names=_names, read=_read, is_folder=True)
