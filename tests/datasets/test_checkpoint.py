"""Checkpoints: the last one always, the best and the regular ones as asked, written so that none is lost."""

import contextlib
import json
import threading
from pathlib import Path

import pytest
import torch
from kedro.io import DataCatalog, DatasetError

from hyco.datasets.checkpoint import CheckpointDataset
from hyco.runtime.storage import Bundle, read_bundle, write_atomically


def checkpoint(epoch, *, best=False, interval=2, resumed_from=0, finished=False):
    metadata = {
        "kind": "checkpoint",
        "epoch": epoch,
        "epochs": 6,
        "finished": finished,
        "is_best": best,
        "kept_every": interval,
        "resumed_from": resumed_from,
        "metrics": {"synthetic_loss": 1 / epoch, "physical_loss": None, "seconds.x": 1},
    }
    return Bundle({"weight": torch.full((2,), float(epoch))}, metadata)


def train(folder, epochs, **options):
    dataset = CheckpointDataset(str(folder))
    for epoch in epochs:
        dataset.save(checkpoint(epoch, **{**options, "best": epoch == options.get("best")}))
    dataset.wait()
    return dataset


def names(folder):
    """All files but the checkpoint before the last, which has tests of its own."""
    return sorted(p.stem for p in folder.iterdir() if p.stem != "previous")


def test_without_a_checkpoint_there_is_none(tmp_path):
    dataset = CheckpointDataset(str(tmp_path / "folder"))
    assert dataset.load() is None
    assert not dataset.exists()
    assert dataset.preview()["data"] == []


def test_the_last_one_is_loaded_bit_for_bit(tmp_path):
    loaded = train(tmp_path, [1, 2, 3]).load()
    assert loaded.metadata == checkpoint(3).metadata
    assert torch.equal(loaded.tensors["weight"], torch.full((2,), 3.0))


def test_the_best_one_is_kept_besides(tmp_path):
    train(tmp_path, [1, 2, 3], best=2)
    assert read_bundle(tmp_path / "best.safetensors").metadata["epoch"] == 2


def test_every_few_epochs_one_is_kept(tmp_path):
    train(tmp_path, range(1, 7), interval=3)
    assert names(tmp_path) == ["epoch_0003", "epoch_0006", "last"]


def test_only_the_best_and_the_last_are_kept_where_asked(tmp_path):
    train(tmp_path, range(1, 7), interval=None, best=4)
    assert names(tmp_path) == ["best", "last"]


def test_a_new_training_replaces_the_last_checkpoint_and_removes_none(tmp_path):
    train(tmp_path, range(1, 7), best=5)
    (tmp_path / "notes.txt").write_text("mine")
    train(tmp_path, [1, 2, 3])
    assert names(tmp_path) == ["best", "epoch_0002", "epoch_0004", "epoch_0006", "last", "notes"]
    assert CheckpointDataset(str(tmp_path)).load().metadata["epoch"] == 3


def test_a_resumed_training_keeps_what_it_continues(tmp_path):
    train(tmp_path, [1, 2, 3], best=1)
    train(tmp_path, [4, 5], resumed_from=3)
    assert names(tmp_path) == ["best", "epoch_0002", "epoch_0004", "last"]


def test_resuming_a_finished_training_removes_nothing(tmp_path):
    train(tmp_path, range(1, 7), best=5, finished=True)
    dataset = CheckpointDataset(str(tmp_path))
    dataset.save(dataset.load())
    assert names(tmp_path) == ["best", "epoch_0002", "epoch_0004", "epoch_0006", "last"]


@pytest.fixture
def clock(monkeypatch):
    """Time that stands still but for what a test, and each write, adds to it: 1 s a file."""
    now = [100.0]

    def write(path, content):
        now[0] += 1.0
        write_atomically(path, content)

    monkeypatch.setattr("hyco.datasets.checkpoint.time.monotonic", lambda: now[0])
    monkeypatch.setattr("hyco.datasets.checkpoint.write_atomically", write)
    return now


def epochs_of(folder):
    return {p.stem: read_bundle(p).metadata["epoch"] for p in folder.iterdir() if p.stem != "previous"}


def test_writing_takes_no_more_than_its_share(tmp_path, clock):
    dataset = CheckpointDataset(str(tmp_path), share=0.1)
    for epoch in range(1, 31):
        dataset.save(checkpoint(epoch, interval=None))
        dataset.wait()
        assert epochs_of(tmp_path)["last"] == (1 if epoch < 11 else 11 if epoch < 21 else 21)
        clock[0] += 1.0


def test_the_best_one_waits_for_the_next_write(tmp_path, clock):
    """Both are of the same moment or the best one of an earlier epoch: a killed training finds it again."""
    dataset = CheckpointDataset(str(tmp_path), share=0.1)
    dataset.save(checkpoint(1, best=True, interval=None))
    dataset.wait()
    for epoch in (2, 3, 4):
        dataset.save(checkpoint(epoch, best=epoch < 4, interval=None))
    assert epochs_of(tmp_path) == {"last": 1, "best": 1}
    clock[0] += 20.0
    dataset.save(checkpoint(5, interval=None))
    dataset.wait()
    assert epochs_of(tmp_path) == {"last": 5, "best": 3}


def test_the_end_and_the_regular_ones_are_always_written(tmp_path, clock):
    dataset = CheckpointDataset(str(tmp_path), share=1e-6)
    for epoch in range(1, 6):
        dataset.save(checkpoint(epoch, best=epoch == 5, interval=3))
    dataset.wait()
    assert epochs_of(tmp_path) == {"epoch_0003": 3, "last": 3}
    dataset.save(checkpoint(6, interval=None, finished=True))
    assert epochs_of(tmp_path) == {"epoch_0003": 3, "last": 6, "best": 5}
    failed = checkpoint(7, interval=None)
    failed.metadata["physical"] = {"failed": "it did not converge"}
    dataset.save(failed)
    assert epochs_of(tmp_path)["last"] == 7


def test_another_training_writes_its_first_checkpoint_and_nothing_of_the_one_before(tmp_path, clock):
    dataset = CheckpointDataset(str(tmp_path), share=1e-6)
    for epoch in (1, 2, 3):
        dataset.save(checkpoint(epoch, best=epoch == 3, interval=None))
    dataset.save(checkpoint(1, interval=None, finished=True))
    assert epochs_of(tmp_path) == {"last": 1}


@pytest.fixture
def disk(monkeypatch):
    """A disk that writes nothing until it is let: an event, and the names of what was begun."""
    ready, begun = threading.Event(), []

    def write(path, content):
        begun.append(path.stem)
        assert ready.wait(timeout=30)
        write_atomically(path, content)

    monkeypatch.setattr("hyco.datasets.checkpoint.write_atomically", write)
    yield ready, begun
    ready.set()


def test_a_training_does_not_wait_for_a_slow_disk(tmp_path, disk):
    """Epochs that are saved meanwhile are left out; the next one after it has the best of them."""
    ready, begun = disk
    dataset = CheckpointDataset(str(tmp_path), share=0.999)
    for epoch in (1, 2, 3):
        dataset.save(checkpoint(epoch, best=epoch == 2, interval=None))
    assert begun in ([], ["last"])
    assert not list(tmp_path.glob("*.safetensors"))
    ready.set()
    dataset.wait()
    assert epochs_of(tmp_path) == {"last": 1}
    dataset._due = 0.0
    dataset.save(checkpoint(4, interval=None))
    assert dataset.load().metadata["epoch"] == 4, "what is loaded is what was saved"
    assert epochs_of(tmp_path) == {"last": 4, "best": 2}
    assert begun == ["last", "best", "last"]


def test_the_end_of_a_training_waits_for_its_files(tmp_path, disk):
    ready, _ = disk
    dataset = CheckpointDataset(str(tmp_path))
    dataset.save(checkpoint(1, interval=None))
    threading.Timer(0.2, ready.set).start()
    dataset.save(checkpoint(2, best=True, interval=None, finished=True))
    assert epochs_of(tmp_path) == {"last": 2, "best": 2}


def test_a_file_that_cannot_be_written_ends_the_training(tmp_path, monkeypatch):
    """At the next save, or at once where the training ends with it."""

    def full(path, content):
        raise OSError("no space left on the disk")

    monkeypatch.setattr("hyco.datasets.checkpoint.write_atomically", full)
    dataset = CheckpointDataset(str(tmp_path), share=0.01)
    dataset.save(checkpoint(1, interval=None))
    with contextlib.suppress(OSError):
        dataset._writing.result()
    for finished in (False, True):
        with pytest.raises(DatasetError, match="no space left"):
            dataset.save(checkpoint(2, interval=None, finished=finished))


@pytest.mark.parametrize("share", [0.0, -1, 2])
def test_an_impossible_share_is_refused(tmp_path, share):
    with pytest.raises(DatasetError, match="allowed: a number above 0"):
        CheckpointDataset(str(tmp_path), share=share)


def test_the_folder_may_be_replaced(tmp_path):
    train(tmp_path / "there", [1, 2])
    dataset = CheckpointDataset(str(tmp_path / "here"))
    dataset.move_to(Path(tmp_path / "there"))
    assert dataset.exists()
    assert dataset.load().metadata["epoch"] == 2
    dataset.save(checkpoint(3, resumed_from=2))
    dataset.wait()
    assert names(tmp_path / "there") == ["epoch_0002", "last"]
    assert not (tmp_path / "here").exists()


def test_a_damaged_checkpoint_is_named_and_does_not_hinder_a_new_training(tmp_path):
    (tmp_path / "last.safetensors").write_bytes(b"not a checkpoint")
    dataset = CheckpointDataset(str(tmp_path))
    with pytest.raises(DatasetError, match=r"last\.safetensors cannot be read .* remove it"):
        dataset.load()
    dataset.save(checkpoint(1))
    assert dataset.load().metadata["epoch"] == 1


def test_the_one_before_is_used_where_the_last_is_damaged(tmp_path, caplog):
    train(tmp_path, [1, 2, 3])
    last = tmp_path / "last.safetensors"
    content = bytearray(last.read_bytes())
    content[-3] ^= 1  # in a weight
    last.write_bytes(content)
    assert CheckpointDataset(str(tmp_path)).load().metadata["epoch"] == 2
    assert "last.safetensors cannot be read (its content is not what was written" in caplog.text
    assert "the checkpoint before it is used, of epoch 2" in caplog.text
    assert [p.read_bytes() for p in tmp_path.glob("last.damaged-*.safetensors")] == [bytes(content)]
    assert CheckpointDataset(str(tmp_path)).load().metadata["epoch"] == 2, "it is the last one now"


def test_where_both_are_damaged_that_is_an_error_and_nothing_is_moved(tmp_path):
    train(tmp_path, [1, 2], interval=None)
    for name in ("last", "previous"):
        (tmp_path / f"{name}.safetensors").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"last\.safetensors cannot be read"):
        CheckpointDataset(str(tmp_path)).load()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.safetensors", "previous.safetensors"]


def test_a_training_that_starts_anew_reads_none(tmp_path):
    (tmp_path / "last.safetensors").write_bytes(b"not a checkpoint")
    dataset = CheckpointDataset(str(tmp_path))
    dataset.ignore()
    assert dataset.load() is None


def test_an_interrupted_training_writes_what_the_share_left_out(tmp_path, clock):
    dataset = CheckpointDataset(str(tmp_path), share=1e-6)
    assert dataset.finish() == 0
    for epoch in (1, 2, 3, 4):
        dataset.save(checkpoint(epoch, best=epoch == 3, interval=None))
        dataset.wait()
    assert epochs_of(tmp_path) == {"last": 1}
    assert dataset.finish() == 4
    assert epochs_of(tmp_path) == {"last": 4, "best": 3}
    before = (tmp_path / "last.safetensors").stat().st_mtime_ns
    assert dataset.finish() == 4
    assert (tmp_path / "last.safetensors").stat().st_mtime_ns == before, "written once"


def test_the_time_between_two_writes_has_a_limit(tmp_path, clock):
    dataset = CheckpointDataset(str(tmp_path), share=1e-6, interval=10.0)
    written = []
    for epoch in range(1, 31):
        dataset.save(checkpoint(epoch, interval=None))
        dataset.wait()
        written.append(epochs_of(tmp_path)["last"])
        clock[0] += 1.0
    assert sorted(set(written)) == [1, 11, 21]
    with pytest.raises(DatasetError, match="interval is 0"):
        CheckpointDataset(str(tmp_path), interval=0.0)


def test_the_catalog_makes_it_by_either_name_but_not_both(tmp_path):
    kind = "hyco.datasets.checkpoint.CheckpointDataset"
    for key in ("directory", "path"):
        catalog = DataCatalog.from_config({"c": {"type": kind, key: str(tmp_path), "metadata": {"layer": "training"}}})
        assert catalog["c"].directory == tmp_path
        assert catalog["c"].metadata == {"layer": "training"}
    for arguments in ({}, {"directory": "a", "path": "b"}):
        with pytest.raises(DatasetError, match="either 'directory' or 'path'"):
            CheckpointDataset(**arguments)


def test_the_preview_lists_the_checkpoints_with_their_metrics(tmp_path):
    shown = train(tmp_path, range(1, 5), best=3).preview()
    assert shown["columns"] == ["checkpoint", "epoch", "finished", "synthetic_loss", "physical_loss"]
    assert [row[:2] for row in shown["data"]] == [
        ["last", "4 of 6"],
        ["best", "3 of 6"],
        ["epoch_0004", "4 of 6"],
        ["epoch_0002", "2 of 6"],
    ]
    json.dumps(shown)


def test_where_no_thread_can_be_begun_checkpoints_are_written_all_the_same(tmp_path, no_threads):
    assert train(tmp_path, [1, 2]).load().metadata["epoch"] == 2
    (tmp_path / "file").touch()
    dataset = CheckpointDataset(str(tmp_path / "file" / "folder"))
    dataset.save(checkpoint(1))
    with pytest.raises(OSError, match="file"):
        dataset.wait()
