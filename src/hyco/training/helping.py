"""What a process does that helps rank 0 to train a network."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hyco.observations import Observations
from hyco.runtime.storage import Bundle, read_bundle, unprefixed
from hyco.training.config import SyntheticConfig
from hyco.training.data import Samples
from hyco.training.finite import DeadNetworkError
from hyco.training.ranks import Ranks
from hyco.training.trainer import SyntheticTrainer

log = logging.getLogger(__name__)


def help_rank_0(ranks: Ranks) -> None:
    """Take a part of every update that rank 0 makes, until it says that there are no more.

    Raises:
        hyco.training.ranks.RanksError: rank 0 has ended without a word.
    """
    trainer: SyntheticTrainer | None = None
    while (told := ranks.receive()).metadata["order"] != "end":
        torch.set_num_threads(told.metadata["threads"])
        if told.metadata["order"] == "trainer":
            trainer = _trainer(told)
        else:
            assert trainer is not None  # it is told first
            try:
                _epoch(trainer, told)
            except DeadNetworkError:  # rank 0 has the same numbers, and says so
                log.debug("The network is not finite.")


def _trainer(told: Bundle) -> SyntheticTrainer:
    meta: Mapping[str, Any] = told.metadata
    data = read_bundle(Path(meta["file"])) if meta["file"] else Bundle(told.tensors, meta["observations"])
    return SyntheticTrainer(
        Observations.from_bundle(data),
        SyntheticConfig.model_validate(meta["config"]),
        meta["seed"],
        device=torch.device(meta["device"]),
        **meta["arguments"],
    )


def _epoch(trainer: SyntheticTrainer, told: Bundle) -> None:
    state, sent = unprefixed("state", told.tensors), unprefixed("samples", told.tensors)
    trainer.optimisation.load(state)
    trainer.optimisation.finite.load(told.metadata["finite"])
    trainer.batches.load(state)
    given = {name: value.to(trainer.device) for name, value in sent.items()}
    if "starts" in given:
        samples = Samples(given["starts"], given.get("physical"), given.get("fresh"))
    else:  # of data on disk, which each process reads
        samples = trainer.prepare(trainer.window_starts(trainer.rollout, real_alone=True))
    trainer.epoch(told.metadata["epoch"], samples, told.metadata["alpha"])
