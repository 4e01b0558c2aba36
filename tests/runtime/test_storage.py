"""Bundles: bit for bit, atomic, and nothing but safetensors and JSON."""

import hashlib
import json
import os

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from hyco.runtime.storage import (
    Bundle,
    UnreadableError,
    digest,
    read_bundle,
    read_json,
    serialised,
    write_atomically,
    write_bundle,
)


def bits(tensor):
    return tensor.contiguous().view(torch.uint8)


def test_tensors_of_every_type_come_back_bit_for_bit(tmp_path):
    special = torch.tensor([0.1, -0.0, float("nan"), float("inf"), 5e-324], dtype=torch.float64)
    tensors = {
        "float64": special,
        "float32": torch.randn(2, 3, 4),
        "bool": torch.tensor([[True, False]]),
        "int64": torch.tensor([2**62, -1]),
        "uint8": torch.get_rng_state(),
        "scalar": torch.tensor(3.0, dtype=torch.float64),
        "empty": torch.empty(0, 3),
    }
    write_bundle(tmp_path / "a.safetensors", Bundle(tensors, {}))
    read = read_bundle(tmp_path / "a.safetensors").tensors
    assert read.keys() == tensors.keys()
    for name, value in tensors.items():
        assert (read[name].dtype, read[name].shape) == (value.dtype, value.shape), name
        assert torch.equal(bits(read[name].reshape(-1)), bits(value.reshape(-1))), name


def test_metadata_come_back_as_they_were(tmp_path):
    metadata = {"epoch": 3, "dt": 0.1, "none": None, "nested": {"list": [1, "zwei", {"é": True}]}, "tiny": 5e-324}
    write_bundle(tmp_path / "a.safetensors", Bundle({}, metadata))
    assert read_bundle(tmp_path / "a.safetensors") == Bundle({}, metadata)


def test_views_and_tensors_that_share_memory_are_written_as_what_they_show(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "base": base,
        "same": base,
        "transposed": base.T,
        "column": base[:, 1],
        "expanded": base[:1].expand(5, 4),
    }
    write_bundle(tmp_path / "a.safetensors", Bundle(tensors))
    read = read_bundle(tmp_path / "a.safetensors").tensors
    assert all(torch.equal(read[name], value) for name, value in tensors.items())


def test_weights_that_need_a_gradient_are_written_without_it(tmp_path):
    weight = torch.nn.Parameter(torch.ones(2))
    write_bundle(tmp_path / "a.safetensors", Bundle({"weight": weight}))
    assert not read_bundle(tmp_path / "a.safetensors").tensors["weight"].requires_grad


def test_the_file_is_plain_safetensors_with_json_in_its_header(tmp_path):
    write_bundle(tmp_path / "a.safetensors", Bundle({"x": torch.ones(2)}, {"epoch": 1}))
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["hyco"]) == {"epoch": 1}


def test_a_foreign_safetensors_file_is_named_as_such(tmp_path):
    save_file({"x": torch.ones(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match=r"foreign\.safetensors is not a hyco file"):
        read_bundle(tmp_path / "foreign.safetensors")


def test_a_damaged_file_is_named_and_what_to_do_with_it(tmp_path):
    path = tmp_path / "states.safetensors"
    write_bundle(path, Bundle({"a": torch.ones(9)}, {}))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"states\.safetensors cannot be read \(.*remove it and run again"):
        read_bundle(path)


def test_metadata_that_json_does_not_know_leave_the_old_file_alone(tmp_path):
    path = tmp_path / "a.safetensors"
    write_bundle(path, Bundle({}, {"epoch": 1}))
    with pytest.raises(TypeError):
        write_bundle(path, Bundle({}, {"epoch": torch.ones(1)}))
    assert read_bundle(path).metadata == {"epoch": 1}


def test_folders_are_made(tmp_path):
    write_atomically(tmp_path / "a" / "b" / "c.txt", b"hello")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == b"hello"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_atomically(path, b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_equal_bundles_are_equal_files(tmp_path):
    """Whatever the order in which the library writes the entries of the header, which differs from time to time."""
    bundle = Bundle({"a": torch.arange(3)}, {"say": 'µ \u2028 "quoted"'})
    made = {serialised(bundle) for _ in range(50)}
    assert len(made) == 1
    (tmp_path / "a.safetensors").write_bytes(made.pop())
    read = read_bundle(tmp_path / "a.safetensors")
    assert read.metadata == bundle.metadata
    assert read.tensors["a"].tolist() == [0, 1, 2]


def test_a_file_that_cannot_be_opened_is_named_in_a_line(tmp_path):
    (tmp_path / "folder.json").mkdir()
    for read in (read_bundle, read_json):
        with pytest.raises(UnreadableError, match=r"^\S*folder\.json cannot be opened \(.*\): make it") as caught:
            read(tmp_path / "folder.json")
        assert "\n" not in str(caught.value)
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "nothing.json")


def test_a_number_has_the_checksum_that_it_had_in_the_first_files(tmp_path):
    # Of the header's text, and of each tensor its name, type, shape and bytes; a number was a row of one.
    tensor, text = torch.tensor(3.0), '{"a": 1}'
    total = hashlib.sha256(text.encode())
    total.update(b"step float32 (1,)")
    total.update(tensor.numpy().tobytes())
    header = {"hyco": text, "checksum": total.hexdigest()}
    write_bundle(tmp_path / "new.safetensors", Bundle({"step": tensor}, {"a": 1}))
    with safe_open(tmp_path / "new.safetensors", framework="pt") as file:
        assert file.metadata() == header
    save_file({"step": tensor}, tmp_path / "former.safetensors", metadata=header)
    assert float(read_bundle(tmp_path / "former.safetensors").tensors["step"]) == 3.0


def test_where_observations_are_from_makes_no_difference_to_their_digest():
    tensors = {"values": torch.zeros(2)}
    assert digest(Bundle(tensors, {"from_file": True, "origin": "a"})) == digest(Bundle(tensors, {}))
