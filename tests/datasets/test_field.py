"""Trajectories as Fields: the file of the tensors, exact in both directions."""

import torch

from hyco.datasets.field import FieldDataset
from hyco.datasets.tensor import TensorDataset
from hyco.fields import Layout


def test_fields_have_simulations_and_time_as_batch(tmp_path, trajectories, layout):
    path = str(tmp_path / "trajectories.safetensors")
    TensorDataset(path).save(trajectories)
    fields = FieldDataset(path).load()
    assert list(fields) == [field.name for field in layout.fields]
    for field in fields.values():
        assert field.shape.get_size("simulation") == 2
        assert field.shape.get_size("time") == 5


def test_fields_written_again_are_the_same_tensors(tmp_path, trajectories, layout):
    first, second = str(tmp_path / "first.safetensors"), str(tmp_path / "second.safetensors")
    TensorDataset(first).save(trajectories)
    FieldDataset(second, dt=0.1).save(FieldDataset(first).load())
    written = TensorDataset(second).load()
    assert torch.equal(written.tensors["trajectories"], trajectories.tensors["trajectories"])
    assert Layout.from_dict(written.metadata["layout"]) == layout
    assert written.metadata == trajectories.metadata


def test_without_a_time_step_none_is_written(tmp_path, trajectories):
    path = str(tmp_path / "trajectories.safetensors")
    TensorDataset(path).save(trajectories)
    FieldDataset(path).save(FieldDataset(path).load())
    assert "dt" not in TensorDataset(path).load().metadata


def test_the_preview_has_a_row_per_channel_with_its_range(tmp_path, trajectories, layout):
    dataset = FieldDataset(str(tmp_path / "trajectories.safetensors"))
    assert dataset.preview()["data"] == []
    assert not dataset.exists()
    dataset.save(FieldDataset.load(_saved(tmp_path, trajectories)))
    shown = dataset.preview()
    rows = [dict(zip(shown["columns"], row, strict=True)) for row in shown["data"]]
    assert [row["channel"] for row in rows] == list(layout.channels)
    for index, row in enumerate(rows):
        values = trajectories.tensors["trajectories"][(slice(None), slice(None), index, *layout.extent(index))]
        assert row["min"] == float(f"{values.min().item():.4g}")
        assert row["max"] == float(f"{values.max().item():.4g}")
        assert row["states"] == "2 × 5"


def _saved(tmp_path, trajectories):
    path = str(tmp_path / "source.safetensors")
    TensorDataset(path).save(trajectories)
    return FieldDataset(path)
