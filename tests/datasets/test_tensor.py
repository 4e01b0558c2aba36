"""Tensors in the catalog: exact, optional where asked, and with a picture for Kedro-Viz."""

import inspect

import pytest
import torch
from kedro.io import DataCatalog, DatasetError

from hyco.datasets.tensor import TensorDataset
from hyco.runtime.storage import Bundle


def test_a_bundle_comes_back_bit_for_bit(tmp_path, trajectories):
    dataset = TensorDataset(str(tmp_path / "a.safetensors"))
    assert not dataset.exists()
    dataset.save(trajectories)
    assert dataset.exists()
    loaded = dataset.load()
    assert torch.equal(loaded.tensors["trajectories"], trajectories.tensors["trajectories"])
    assert loaded.metadata == trajectories.metadata


def test_a_missing_file_is_none_only_where_it_may_be_missing(tmp_path):
    path = str(tmp_path / "a.safetensors")
    assert TensorDataset(path, must_exist=False).load() is None
    with pytest.raises(DatasetError, match=r"a\.safetensors"):
        TensorDataset(path).load()


def test_a_part_of_a_file_is_named_with_what_to_do(tmp_path, trajectories):
    path = tmp_path / "a.safetensors"
    TensorDataset(str(path)).save(trajectories)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetError) as caught:
        TensorDataset(str(path), must_exist=False).load()
    last = str(caught.value).splitlines()[-1]
    assert last.startswith(f"{path} cannot be read")
    assert last.endswith("remove it and run again what makes it")


def test_the_catalog_makes_it_and_keeps_its_metadata(tmp_path):
    entry = {
        "type": "hyco.datasets.tensor.TensorDataset",
        "filepath": str(tmp_path / "a.safetensors"),
        "must_exist": False,
        "metadata": {"kedro-viz": {"layer": "data"}},
    }
    catalog = DataCatalog.from_config({"a": entry})
    assert catalog.load("a") is None
    assert catalog["a"].metadata == entry["metadata"]


@pytest.mark.slow
def test_the_preview_is_a_picture_of_the_first_simulation(tmp_path, trajectories, decode, shows_something):
    dataset = TensorDataset(str(tmp_path / "a.safetensors"))
    dataset.save(trajectories)
    image = decode(dataset.preview())
    assert image.format == "PNG"
    assert shows_something(image)


@pytest.mark.slow
def test_observations_and_rollouts_have_pictures_too(tmp_path, trajectories, decode, shows_something):
    states, dataset = trajectories.tensors["trajectories"], TensorDataset(str(tmp_path / "a.safetensors"))
    mask = torch.zeros(states.shape, dtype=torch.bool)
    mask[:, ::2] = True
    for kind, tensors in {
        "observations": {"values": states * mask, "mask": mask},
        "rollouts": {"truth": states, "persistence": states[:, :1].expand(states.shape)},
    }.items():
        dataset.save(Bundle(tensors, {**trajectories.metadata, "kind": kind}))
        assert shows_something(decode(dataset.preview())), kind


@pytest.mark.slow
@pytest.mark.parametrize("at", ["cells", pytest.param("anywhere", marks=pytest.mark.slow)])
def test_measurements_at_points_have_a_picture_of_the_cells_they_lie_in(
    tmp_path, trajectories, decode, shows_something, at
):
    from hyco.observations import ObservationConfig, observe

    space = {"mode": "samples", "count": 20, "at": at}
    config = ObservationConfig.model_validate({"train_sim": [0], "space": space, "initial_state": "full"})
    seen = observe(Bundle(trajectories.tensors, trajectories.metadata | {"dt": 0.1}), config, 0)
    dataset = TensorDataset(str(tmp_path / "a.safetensors"))
    dataset.save(seen.to_bundle())
    assert shows_something(decode(dataset.preview()))


def test_other_tensors_and_missing_files_have_an_empty_preview(tmp_path):
    dataset = TensorDataset(str(tmp_path / "a.safetensors"))
    assert dataset.preview() == ""
    dataset.save(Bundle({"x": torch.ones(2)}))
    assert dataset.preview() == ""


def test_kedro_viz_can_tell_what_the_preview_is():
    annotation = inspect.signature(TensorDataset.preview).return_annotation
    assert getattr(annotation, "__name__", str(annotation)) == "ImagePreview"
