"""A network whose weights are not finite learns nothing any more: its training goes back, and in the end says so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from hyco.training.least_squares import LeastSquares
from hyco.training.optimiser import Optimiser

log = logging.getLogger(__name__)

# What the learning rate is multiplied with when the training goes back.
_FACTOR = 0.1


class DeadNetworkError(FloatingPointError):
    """A network's training has come to numbers that are not finite; the message names epoch, tensor and rate."""


class FiniteState:
    """The last state of a network's training in which all numbers are finite, and how often it was gone back to.

    The check of an epoch is one copy of everything into one tensor, and its sum: a sum is finite only if all terms are.

    Args:
        tensors: gives all that a training changes, by name: weights, their average, what the optimiser remembers. They
            change in place.
        optimizer: of the training, whose first update adds to them.
        reductions: how often the learning rate may be lowered.

    Attributes:
        factor: of the learning rate, 1 at first.
        lowered: how often that was made smaller.
        barren: epochs in a row of which no update could be taken.
    """

    def __init__(
        self, tensors: Callable[[], Mapping[str, Tensor]], optimizer: Optimiser | LeastSquares, reductions: int
    ) -> None:
        self.factor, self.lowered, self.barren = 1.0, 0, 0
        self._tensors, self._optimizer, self._reductions = tensors, optimizer, reductions
        self._remembered, self._by_type = -1, [[torch.empty(0)]]
        self._kept, _ = self.copy()

    @torch.no_grad()
    def copy(self) -> tuple[list[Tensor], Tensor]:
        """The present state, one tensor for each type of number, and the sum of all of it, `[]`, not read yet."""
        kept = [torch.cat([value.reshape(-1) for value in values]) for values in self._now()]
        return kept, torch.stack([part.sum(dtype=torch.float64) for part in kept]).sum()

    def end_epoch(
        self,
        epoch: int,
        rate: float,
        state: list[Tensor],
        finite: bool,
        taken: int,
        skipped: int,
        culprit: Callable[[], str],
    ) -> None:
        """Check an epoch, and go back to the state before it where it has left numbers that are not finite.

        Args:
            epoch: which, from 1.
            rate: its learning rate.
            state: `copy` after it.
            finite: whether the sum of that is.
            taken, skipped: its updates.
            culprit: says what was not finite in the last of them.

        Raises:
            DeadNetworkError: the learning rate has been lowered as often as allowed; or no update could be taken in
                more epochs in a row than that.
        """
        self.barren = self.barren + 1 if skipped and not taken else 0
        if self.barren > self._reductions:
            raise DeadNetworkError(
                f"epoch {epoch}: no update of the network could be taken in {self.barren} epochs in a row, at the "
                f"learning rate {rate:.4g}: {culprit()} is not finite. Check the data, or lower "
                "synthetic.learning_rate, and start anew"
            )
        if finite:
            self._kept = state
            return
        name = next((name for name, value in self._tensors().items() if not bool(value.isfinite().all())), "their sum")
        if self.lowered >= self._reductions:
            raise DeadNetworkError(
                f"epoch {epoch}: {name} of the network is not finite at the learning rate {rate:.4g}, which was "
                f"lowered {self.lowered} times: lower synthetic.learning_rate or synthetic.weight_decay, or set "
                "synthetic.gradient_clip, and start anew"
            )
        self._restore()
        self.lowered += 1
        self.factor *= _FACTOR
        log.warning(
            "Epoch %d: %s of the network is not finite at the learning rate %.4g: back to the state before this epoch, "
            "and on with a tenth of the rate (%d of %d times).",
            epoch,
            name,
            rate,
            self.lowered,
            self._reductions,
        )

    def describe(self) -> dict[str, Any]:
        """What a resumed training has to know, as JSON values."""
        return {"factor": self.factor, "lowered": self.lowered, "barren": self.barren}

    def load(self, description: Mapping[str, Any]) -> None:
        """Go on from what `describe` gave, with the present state as the last one.

        Raises:
            DeadNetworkError: that is not finite.
        """
        for key, value in description.items():
            setattr(self, key, value)
        self._remembered = -1  # the optimiser's are other tensors now
        self._kept, total = self.copy()
        if not bool(total.isfinite()):
            raise DeadNetworkError("the network of the checkpoint is not finite: start anew with resume=false")

    @torch.no_grad()
    def _restore(self) -> None:
        if sum(part.numel() for part in self._kept) < sum(value.numel() for value in self._tensors().values()):
            self._optimizer.state.clear()  # it remembered nothing then
        for part, values in zip(self._kept, self._now(), strict=True):
            for value, kept in zip(values, torch.split(part, [v.numel() for v in values]), strict=True):
                value.copy_(kept.reshape(value.shape))

    def _now(self) -> list[list[Tensor]]:
        """The tensors themselves, those of one type of number together."""
        remembered = len(self._optimizer.state)
        if remembered != self._remembered:  # else they are the same as in the epoch before
            by_type: dict[torch.dtype, list[Tensor]] = {}
            for value in self._tensors().values():
                by_type.setdefault(value.dtype, []).append(value)
            self._remembered, self._by_type = remembered, list(by_type.values())
        return self._by_type
