"""What the three training loops share: the record of an epoch, the checkpoint around it, and how to go on from one."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hyco.runtime.monitoring import PhaseClock, peak_rss_bytes
from hyco.runtime.storage import Bundle, prefixed, unprefixed
from hyco.training.checkpoints import ResumeError, check_resumable
from hyco.training.validation import ValidationConfig

log = logging.getLogger(__name__)

Metrics = dict[str, float | None]
# What a training yields per epoch: the checkpoint, and the live metrics {"epoch": …, "metrics": {…}}.
Step = tuple[Bundle, dict[str, Any]]


class Resumable(Protocol):
    """A part of a run whose state is in its checkpoints, so that it can go on from one."""

    def state(self) -> Bundle:
        """Everything that changes during training.

        Metadata: JSON values; `failed` is the error that ended the training, where there was one.
        """

    def load(self, state: Bundle) -> None:
        """Go on from a `state`."""


@dataclass
class Run:
    """The state of a training run around its models.

    Attributes:
        training: "synthetic", "physical" or "hybrid".
        configuration: the sections that the result depends on; a checkpoint of another one is refused.
        epochs: how many there are in all.
        validation: what is said of checkpoints.
        parts: whatever a checkpoint holds the state of, by the name that it has there.
        latest: the record of the last epoch, `{"epoch": …, "metrics": {…}}`; earlier ones are in the live metrics.
        since_best: validations in a row without a better network.
        stopped: whether the training has ended, whatever the number of epochs.
        resumed_from: the last epoch of the checkpoint that it went on from; 0 if it started anew.
    """

    training: str
    configuration: Mapping[str, Any]
    epochs: int
    validation: ValidationConfig
    parts: Mapping[str, Resumable]
    clock: PhaseClock = field(default_factory=PhaseClock)
    latest: dict[str, Any] = field(default_factory=lambda: {"epoch": 0, "metrics": {}})
    since_best: int = 0
    stopped: bool = False
    resumed_from: int = 0
    _since: float = field(default_factory=time.perf_counter)

    @property
    def epoch(self) -> int:
        """The last epoch that is done."""
        return int(self.latest["epoch"])

    def resume(self, checkpoint: Bundle | None, asked: bool) -> Iterator[Step]:
        """Take over a checkpoint if asked; yields it again, as the history may lack its epoch.

        A run may have been ended between the two.

        Raises:
            ResumeError: it belongs to another configuration, or its training ended with an error.
        """
        if not asked:
            return
        if checkpoint is None:
            log.info("Nothing to resume for the %s training: starting anew.", self.training)
            return
        check_resumable(checkpoint, self.configuration, self.parts)
        meta = checkpoint.metadata
        for name, part in self.parts.items():
            try:
                part.load(Bundle(unprefixed(name, checkpoint.tensors), meta[name]))
            except (ValueError, KeyError, IndexError, RuntimeError) as error:
                raise ResumeError(
                    f"cannot resume, the checkpoint does not fit: {name}: {error}. Run with resume=false to start anew."
                ) from error
        self.latest = {"epoch": meta["epoch"], "metrics": meta["metrics"]}
        self.since_best, self.stopped = meta["since_best"], meta["stopped"]
        self.clock.go_on_from(meta["seconds"], meta["peak"], meta["operators"])
        self.resumed_from = self.epoch
        log.info("Resuming the %s training after epoch %d of %d.", self.training, self.epoch, self.epochs)
        failed = next((meta[name]["failed"] for name in self.parts if meta[name].get("failed")), None)
        if failed is not None:  # in its last epoch, whichever that was
            raise ResumeError(f"there is nothing to resume, the training ended with an error: {failed}")
        if meta["finished"]:
            log.info("It is finished already: only the evaluation runs.")
        yield checkpoint, self.latest

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.epoch >= self.epochs or self.stopped

    def stop(self) -> None:
        """End the training with the present epoch."""
        self.stopped = True

    def note_validation(self, is_best: bool, patience: int | None) -> None:
        """Count validations without a better network; the run is finished where there were `patience` of them.

        Args:
            is_best: whether the network is better than at all validations before.
            patience: None: it never ends because of them.
        """
        self.since_best = 0 if is_best else self.since_best + 1
        if patience is not None and self.since_best >= patience:
            log.info("The network has not become better in %d validations: the training ends.", patience)
            self.stop()

    def record(self, epoch: int, metrics: Metrics, *, is_best: bool = False) -> Step:
        """Close an epoch: put everything into one checkpoint."""
        now = time.perf_counter()
        self.clock.add("wall", now - self._since)
        self._since = now
        if self.clock.memory:
            metrics.update({f"seconds.{phase}": value for phase, value in self.clock.seconds.items()})
            metrics.update({f"peak_bytes.{phase}": float(value) for phase, value in self.clock.peak.items()})
        # JSON has no NaN: a number that is not finite is recorded as missing.
        clean = {k: v if v is not None and math.isfinite(v) else None for k, v in metrics.items()}
        self.latest = {"epoch": epoch, "metrics": clean}
        shown = ", ".join(f"{k} {v:.4g}" for k, v in clean.items() if v is not None and k in _SHOWN)
        # Whoever shows a training gets the record: a line per epoch would bury all others.
        log.debug("%s epoch %d/%d: %s", self.training, epoch, self.epochs, shown)
        tensors, metadata = {}, {}
        for name, part in self.parts.items():
            state = part.state()
            # A copy: the part goes on changing its own.
            tensors.update(prefixed(name, {k: v.detach().clone() for k, v in state.tensors.items()}))
            metadata[name] = state.metadata
        return Bundle(
            tensors,
            {
                "kind": "checkpoint",
                "training": self.training,
                "epoch": epoch,
                "epochs": self.epochs,
                "finished": self.finished,
                "is_best": is_best,
                "kept_every": self.validation.kept_every,
                "resumed_from": self.resumed_from,
                "configuration": dict(self.configuration),
                "metrics": clean,
                "since_best": self.since_best,
                "stopped": self.stopped,
                "seconds": dict(self.clock.seconds),
                "peak": dict(self.clock.peak),
                "operators": copy.deepcopy(self.clock.operators),
                "peak_rss_bytes": peak_rss_bytes(),
                **metadata,
            },
        ), self.latest


_SHOWN = ("synthetic_loss", "physical_loss", "validation_synthetic", "validation_physical")
