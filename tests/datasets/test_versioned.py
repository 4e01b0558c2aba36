"""Final models: a version per run, the newest one by default, old ones by name."""

import json

import pytest
import torch
from kedro.io import DatasetError, Version

from hyco.datasets.versioned import VersionedTensorDataset
from hyco.runtime.storage import Bundle


def dataset(tmp_path, load=None, save=None):
    return VersionedTensorDataset(str(tmp_path / "model.safetensors"), Version(load, save))


def bundle(value):
    return Bundle({"weight": torch.full((2, 3), value)}, {"kind": "model", "value": value})


def test_each_run_saves_a_version_and_the_newest_is_loaded(tmp_path):
    dataset(tmp_path, save="2026-01-01T00.00.00.000Z").save(bundle(1.0))
    dataset(tmp_path, save="2026-01-02T00.00.00.000Z").save(bundle(2.0))
    assert dataset(tmp_path).load().metadata["value"] == 2.0
    old = dataset(tmp_path, load="2026-01-01T00.00.00.000Z").load()
    assert torch.equal(old.tensors["weight"], bundle(1.0).tensors["weight"])


def test_a_version_is_never_overwritten(tmp_path):
    dataset(tmp_path, save="2026-01-01T00.00.00.000Z").save(bundle(1.0))
    with pytest.raises(DatasetError, match="must not exist"):
        dataset(tmp_path, save="2026-01-01T00.00.00.000Z").save(bundle(2.0))


def test_without_versions_it_is_a_plain_file(tmp_path):
    plain = VersionedTensorDataset(str(tmp_path / "model.safetensors"))
    assert not plain.exists()
    plain.save(bundle(3.0))
    assert (tmp_path / "model.safetensors").is_file()
    assert plain.load().metadata["value"] == 3.0


def test_the_preview_lists_metadata_and_tensors_of_the_newest_version(tmp_path):
    assert not dataset(tmp_path).exists()
    assert dataset(tmp_path).preview() == ""
    dataset(tmp_path, save="2026-01-01T00.00.00.000Z").save(bundle(1.0))
    shown = json.loads(dataset(tmp_path).preview())
    assert shown == {"kind": "model", "value": 1.0, "tensors": {"weight": "float32 [2, 3]"}}
