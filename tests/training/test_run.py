"""A run's checkpoints: its parts come back by name, and what another version wrote is refused."""

from dataclasses import dataclass

import pytest
import torch

from hyco.runtime.storage import Bundle
from hyco.training.checkpoints import ResumeError
from hyco.training.run import Run
from hyco.training.validation import StoppingConfig


@dataclass
class Part:
    number: float
    name: str = ""
    failed: str | None = None

    def state(self):
        return Bundle({"number": torch.tensor(self.number)}, {"name": self.name, "failed": self.failed})

    def load(self, state):
        self.number, self.name = float(state.tensors["number"]), state.metadata["name"]


def run(epochs=3, **parts):
    return Run("synthetic", {"seed": 0}, epochs, StoppingConfig(), parts)


def test_every_part_comes_back_by_its_name():
    checkpoint, _ = run(one=Part(1.0, "a"), other=Part(2.0, "b")).record(1, {})
    again = run(one=Part(0.0), other=Part(0.0))
    assert [step[0] for step in again.resume(checkpoint, True)] == [checkpoint]  # its epoch may lack in the history
    assert again.parts == {"one": Part(1.0, "a"), "other": Part(2.0, "b")}
    assert again.epoch == again.resumed_from == 1


def test_validations_without_a_better_network_are_counted_over_an_interruption():
    first = run(one=Part(0.0))
    first.note_validation(False, patience=2)
    checkpoint, _ = first.record(1, {})
    again = run(one=Part(0.0))
    list(again.resume(checkpoint, True))
    assert not again.finished
    again.note_validation(False, patience=2)
    assert again.finished
    last, _ = again.record(2, {})
    assert last.metadata["finished"]
    assert [step[0] for step in run(one=Part(0.0)).resume(last, True)] == [last]


def test_a_better_network_starts_the_count_anew():
    counted = run()
    for is_best in (False, True, False):
        counted.note_validation(is_best, patience=2)
    assert not counted.finished


def test_a_training_that_ended_with_an_error_is_not_resumed():
    checkpoint, _ = run(one=Part(0.0), other=Part(0.0, failed="it diverged")).record(1, {})
    with pytest.raises(ResumeError, match="ended with an error: it diverged"):
        list(run(one=Part(0.0), other=Part(0.0)).resume(checkpoint, True))


@pytest.mark.parametrize("missing", ["metrics", "since_best"])
def test_a_checkpoint_of_an_earlier_version_is_refused_in_words(missing):
    checkpoint, _ = run(one=Part(0.0)).record(1, {})
    del checkpoint.metadata[missing]
    with pytest.raises(ResumeError, match=rf"earlier version of hyco: it has no {missing}.*resume=false"):
        list(run(one=Part(0.0)).resume(checkpoint, True))
