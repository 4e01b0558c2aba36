"""Files that are no tensors: each is written as a whole, or not at all."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from kedro.io import DatasetError, Version

from hyco.datasets.netcdf import NetCDFDataset
from hyco.datasets.texts import TableFileDataset, TextFileDataset
from hyco.runtime.beside import FIGURES, BesideError
from hyco.runtime.storage import UnwritableError

CATALOG = Path(__file__).parents[2] / "conf" / "base" / "catalog.yml"


def test_all_files_of_the_catalog_are_of_datasets_that_write_them_as_a_whole():
    types = {entry["type"] for entry in yaml.safe_load(CATALOG.read_text(encoding="utf-8")).values()}
    assert {kind for kind in types if not kind.startswith("hyco.datasets.")} == {"kedro.io.MemoryDataset"}


@pytest.mark.parametrize("kind", ["text", "table", "netcdf"])
def test_a_disk_without_room_is_told_and_the_file_of_before_stays(tmp_path, monkeypatch, kind):
    path = tmp_path / "some.file"
    datasets = {"text": TextFileDataset, "table": TableFileDataset, "netcdf": NetCDFDataset}
    values = {
        "text": ("before", "after"),
        "table": (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})),
        "netcdf": (xr.Dataset({"a": ("x", np.ones(3))}), xr.Dataset({"a": ("x", np.zeros(3))})),
    }
    dataset = datasets[kind](filepath=str(path))
    before, after = values[kind]
    dataset.save(before)
    content = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("hyco.runtime.storage.os.fsync", full)
    with pytest.raises(DatasetError) as caught:  # Kedro's, around what a dataset raises
        dataset.save(after)
    assert isinstance(caught.value.__cause__, UnwritableError)
    assert f"{path} cannot be written (No space left on device): make room" in str(caught.value.__cause__)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_may_be_made_beside_the_run(tmp_path):
    dataset = TextFileDataset(filepath=str(tmp_path / "page.html"))
    dataset.save(lambda: f"<html>{os.getpid()}</html>")
    made = dataset.load()
    assert made.startswith("<html>")
    if sys.platform == "linux":
        assert str(os.getpid()) not in made
    dataset.save("<html>")
    assert dataset.load() == "<html>"
    FIGURES.finish()


def test_a_version_of_a_text_is_there_when_it_is_saved(tmp_path):
    dataset = TextFileDataset(filepath=str(tmp_path / "page.html"), version=Version(None, None))
    for text in ("first", "second"):
        dataset.save(lambda text=text: text)
        assert dataset.load() == text
    assert len(dataset.list_versions()) == 2
    FIGURES.finish()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is made at once")
def test_a_text_that_cannot_be_made_is_told_when_it_is_asked_for(tmp_path):
    dataset = TextFileDataset(filepath=str(tmp_path / "page.html"))
    dataset.save(lambda: str(1 / 0))
    with pytest.raises(DatasetError) as caught:
        dataset.load()
    assert isinstance(caught.value.__cause__, BesideError)
    assert "page.html could not be written" in str(caught.value.__cause__)
    FIGURES.finish()
