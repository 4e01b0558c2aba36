"""Several processes that share the updates of one network: data-parallel training, started by torchrun.

The process of rank 0 is the run: it reads, trains, validates, decides and writes as a run alone does. The others are
told what to train (`hyco.training.helping`), and take a part of every batch each: the gradients are summed, so that an
update is that of the whole batch. A part counts as much as it has of the batch's measurements, also where a batch does
not divide. Every epoch begins with the state of rank 0, which alone keeps checkpoints: a run is resumed by any number.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from hyco.runtime.storage import Bundle, from_bytes, serialised

# How long a process waits for the others: data are made, and models validated, by rank 0 alone.
_PATIENCE = timedelta(days=30)


class RanksError(RuntimeError):
    """The processes of a data-parallel training are not together any more; the message says how to go on."""


@dataclass
class Ranks:
    """The processes that train together.

    Attributes:
        rank: of this one, from 0.
        size: how many there are.
        trainer: the last trainer that the others were told of.
    """

    rank: int
    size: int
    trainer: object = field(default=None, repr=False)

    @property
    def leads(self) -> bool:
        """Whether this process is the run."""
        return self.rank == 0

    def own(self, rows: Tensor) -> Tensor:
        """This process's part of the rows of a batch; empty where there are fewer rows than processes."""
        return torch.tensor_split(rows, self.size)[self.rank]

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Sum tensors of the same type over all processes, in place.

        Raises:
            RanksError: another process has ended.
        """
        each = list(tensors)
        flat = torch.cat([tensor.reshape(-1) for tensor in each])
        with _together():
            dist.all_reduce(flat)
        for tensor, total in zip(each, torch.split(flat, [tensor.numel() for tensor in each]), strict=True):
            tensor.copy_(total.reshape(tensor.shape))

    def agreed(self, tensor: Tensor) -> Tensor:
        """The tensor of rank 0.

        Raises:
            RanksError: another process has ended.
        """
        with _together():
            dist.broadcast(tensor, 0)
        return tensor

    def send(self, bundle: Bundle) -> None:
        """Of rank 0: give the others a bundle.

        Raises:
            RanksError: another process has ended.
        """
        content = torch.frombuffer(bytearray(serialised(bundle)), dtype=torch.uint8)
        self.agreed(torch.tensor(len(content)))
        self.agreed(content)

    def receive(self) -> Bundle:
        """Of the others: wait for what rank 0 sends.

        Raises:
            RanksError: rank 0 has ended.
        """
        size = int(self.agreed(torch.tensor(0)))
        return from_bytes(self.agreed(torch.empty(size, dtype=torch.uint8)).numpy().tobytes())


_JOINED: list[Ranks] = []


def current() -> Ranks | None:
    """The processes that this one trains with; None: it trains alone."""
    return _JOINED[-1] if _JOINED else None


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the other processes that torchrun has started; in the end, rank 0 tells them so.

    On a machine with GPUs each process takes that of its number there.

    Raises:
        RanksError: they do not come together.
    """
    gpus = torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=_PATIENCE)
    except RuntimeError as error:  # a port that is taken, an address that nobody answers at
        raise RanksError(f"the processes do not come together: {_first_line(error)}") from error
    ranks = Ranks(dist.get_rank(), dist.get_world_size())
    _JOINED.append(ranks)
    try:
        yield ranks
        if ranks.leads:
            ranks.send(Bundle({}, {"order": "end"}))
    finally:
        _JOINED.remove(ranks)
        dist.destroy_process_group()


def described(config: Any) -> dict[str, Any]:
    """A section as the others can build it."""
    return dict(config.model_dump(mode="json"))


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # whatever gloo and NCCL say
        raise RanksError(
            "a process of this data-parallel training has ended: start the same command again with "
            "--params resume=true, with as many processes as you like; the last checkpoint is kept "
            f"({_first_line(error)})"
        ) from error


def _first_line(error: Exception) -> str:
    return f"{(str(error).strip() or type(error).__name__).splitlines()[0]:.200}"
