"""The updates of a network's weights."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from hyco.networks.network_model import NetworkModel
from hyco.runtime.monitoring import unwatched
from hyco.runtime.storage import prefixed, unprefixed
from hyco.training.averaging import AveragedWeights
from hyco.training.config import SyntheticConfig
from hyco.training.finite import DeadNetworkError, FiniteState
from hyco.training.least_squares import LeastSquares
from hyco.training.optimiser import Optimiser
from hyco.training.ranks import Ranks

log = logging.getLogger(__name__)


class Optimisation:
    """A network's optimiser, its learning rate over the epochs, and the moving average of the weights if there is one.

    Args:
        model: whose weights change, on its device.
        config: of the network's training.
        epochs: of this run, for the learning rate.

    Attributes:
        optimizer: which updates the weights.
        least_squares: the same, where it takes steps for whole epochs; else None.
        averaged: the averaged weights; None: no average is asked for.
        finite: the state to go back to.
        ranks: processes whose losses are parts of one; None: a loss is the whole.
    """

    def __init__(self, model: NetworkModel, config: SyntheticConfig, epochs: int) -> None:
        self.least_squares = LeastSquares(model) if config.optimizer == "levenberg_marquardt" else None
        if self.least_squares is not None and not model.config.few_weights:
            raise ValueError(f"optimizer: levenberg_marquardt trains networks of few weights, not {model.config.name}")
        by_gradient = Optimiser(model.parameters(), config.optimizer, config.weight_decay)
        self.optimizer: Optimiser | LeastSquares = self.least_squares or by_gradient
        self.averaged = None if config.ema_decay is None else AveragedWeights(model, config.ema_decay)
        self._model, self._config, self._epochs = model, config, epochs
        self.ranks: Ranks | None = None
        self._before_update: Callable[[], None] = unwatched
        self.finite = FiniteState(self.state, self.optimizer, config.rate_reductions)

    @property
    def predictor(self) -> NetworkModel:
        """The network that predicts: with averaged weights if there are any, else the one that trains."""
        return self._model if self.averaged is None else self.averaged.module

    def forget(self) -> None:
        """Drop the optimiser's averages of gradients: those to come are of another size."""
        self.optimizer.state.clear()

    def watch(self, call: Callable[[], None]) -> None:
        """From now on call this before each update."""
        self._before_update = call

    def epoch(self, epoch: int, updates: Iterable[Tensor | None]) -> dict[str, float]:
        """One step of the optimiser for each loss, as it is computed; None: nothing to learn from.

        Args:
            epoch: 1-based, for the learning rate.
            updates: the losses, each computed with the weights that the one before it left.

        Returns:
            `synthetic_loss`, the mean over the updates; `learning_rate`; `synthetic_skipped`, the updates left out
            because their loss or its gradient was not finite.

        Raises:
            DeadNetworkError: weights are not finite, however low the rate; see `FiniteState`.
        """
        assert isinstance(self.optimizer, Optimiser)
        rate = self._config.learning_rate * self._config.scheduler.factor(epoch, self._epochs) * self.finite.factor
        self._model.train()
        limit = math.inf if self._config.gradient_clip is None else self._config.gradient_clip
        values, taken = [], []
        for loss in updates:
            self._before_update()
            if loss is None:
                continue
            self.optimizer.clear_gradients()
            if loss.requires_grad:  # a part of a batch may be empty
                loss.backward()  # type: ignore[no-untyped-call]
            loss = self._of_all(loss.detach())
            norm = torch.nn.utils.clip_grad_norm_(self.optimizer.weights, limit)  # to look for them takes longer
            finite = torch.isfinite(loss + norm)
            self.optimizer.step(rate, left_out=(~finite).float())  # no value need be read for it
            if self.averaged is not None:
                self.averaged.update(self._model, finite)
            values.append(loss)
            taken.append(finite)
        # Read once per epoch, so that nothing waits for the device before.
        kept, total = self.finite.copy()
        read = [total.reshape(1)]
        if values:
            read.append(torch.where(torch.stack(taken), torch.stack(values), math.nan).double())
        facts = torch.cat(read)
        if self.ranks is not None:
            facts = self.ranks.agreed(facts)
        sum_of_state, *losses = facts.tolist()
        mean, skipped = _summary(epoch, losses)
        learnt, left_out = len(losses) - int(skipped), int(skipped)
        culprit = partial(self._not_finite, values)
        self.finite.end_epoch(epoch, rate, kept, math.isfinite(sum_of_state), learnt, left_out, culprit)
        return {"synthetic_loss": mean, "learning_rate": rate, "synthetic_skipped": skipped}

    def step_of_least_squares(self, epoch: int, errors: Sequence[Callable[[], Tensor]]) -> dict[str, float]:
        """One step for an epoch's batches, see `LeastSquares.step`; the numbers are those of `epoch`.

        Args:
            epoch: 1-based, for messages.
            errors: give the errors of a batch, at least one; empty: nothing is observed.

        Where the loss before the step or its derivatives are not finite there is none: the weights stay, which is
        `synthetic_skipped`, as other batches, rollouts or predictions may come.

        Raises:
            DeadNetworkError: so it was in more epochs in a row than `rate_reductions`.
        """
        assert self.least_squares is not None
        self._before_update()
        self._model.train()
        if not errors:
            mean, skipped = _summary(epoch, [])
            return {"synthetic_loss": mean, "learning_rate": 0.0, "synthetic_skipped": skipped}
        try:
            metrics = self.least_squares.step(errors)
        except FloatingPointError as error:
            self.finite.barren += 1
            if self.finite.barren > self._config.rate_reductions:
                raise DeadNetworkError(
                    f"epoch {epoch}: the {error} of the network's rollouts are not finite, in {self.finite.barren} "
                    "epochs in a row: levenberg_marquardt has no step to take. Check the data, raise substeps of the "
                    "network or lower num_predict_steps, and start anew"
                ) from error
            log.warning("Epoch %d: the %s of the network's rollouts are not finite: its weights stay.", epoch, error)
            return {"synthetic_loss": math.nan, "learning_rate": 0.0, "synthetic_skipped": 1.0}
        self.finite.barren = 0
        if self.averaged is not None:
            self.averaged.update(self._model, torch.ones((), dtype=torch.bool))
        if metrics["synthetic_skipped"]:
            log.info("Epoch %d: no step of the network's weights lowered its loss.", epoch)
        return metrics

    def _not_finite(self, losses: list[Tensor]) -> str:
        """What is not finite in the last update. Clipping spreads a gradient that is no number over all of it."""
        if losses and not bool(losses[-1].isfinite()):
            return "the loss"
        gradients = {name: weight.grad for name, weight in self._model.named_parameters() if weight.grad is not None}
        names = [name for name, gradient in gradients.items() if not bool(gradient.isfinite().all())]
        return f"the gradient of {names[0]}" if 0 < len(names) < len(gradients) else "the gradient of all weights"

    def _of_all(self, loss: Tensor) -> Tensor:
        """The loss of all processes, whose gradients are summed."""
        if self.ranks is None:
            return loss
        for weight in self._model.parameters():
            if weight.requires_grad and weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        loss = loss.to(torch.float32)
        self.ranks.add_up([loss, *(weight.grad for weight in self._model.parameters() if weight.grad is not None)])
        return loss

    def state(self) -> dict[str, Tensor]:
        """Everything that changes during training: weights, their average, and what the optimiser remembers."""
        tensors = prefixed("weights", self._model.state_dict())
        tensors |= prefixed("optimizer", self.optimizer.tensors())
        if self.averaged is not None:
            tensors |= prefixed("average", self.averaged.state_dict())
        return tensors

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from a `state`; other tensors are ignored."""
        self._model.load_state_dict(unprefixed("weights", tensors))
        if self.averaged is not None:
            self.averaged.load_state_dict(unprefixed("average", tensors))
        self.optimizer.load(unprefixed("optimizer", tensors))


def _summary(epoch: int, losses: list[float]) -> tuple[float, float]:
    """Mean of the losses that are not NaN, and the number of those that are: the updates that were left out."""
    finite = [loss for loss in losses if not math.isnan(loss)]
    skipped = len(losses) - len(finite)
    if skipped:
        log.warning(
            "Epoch %d: %d of the network's updates were skipped: the loss or its gradient is not finite.",
            epoch,
            skipped,
        )
    if not losses:
        log.warning("Epoch %d: nothing is observed in the training rollouts: the network learnt nothing.", epoch)
    return statistics.fmean(finite) if finite else math.nan, float(skipped)
