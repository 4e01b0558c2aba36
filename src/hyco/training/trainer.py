"""Training of a network that steps states: multi-step rollouts against observations, and the physical model's."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from hyco.losses import mean_square, scaled_errors, weighted_loss
from hyco.networks.network import SeesValues
from hyco.networks.synthetic import SyntheticModel
from hyco.observations import Observations
from hyco.observations.changes import change_std
from hyco.observations.statistics import largest, together
from hyco.runtime.mapped import file_of, is_mapped
from hyco.runtime.storage import Bundle, prefixed
from hyco.trained_model import Time
from hyco.training.batches import WindowBatches
from hyco.training.config import SyntheticConfig
from hyco.training.data import Samples, WindowData
from hyco.training.network_trainer import NetworkTrainer
from hyco.training.ranks import Ranks, RanksError, current, described
from hyco.training.stored import NormalisedStarts, StoredStarts
from hyco.training.windows import Predict, States, Windows, WindowStarts

# Errors, and where they count; None: everywhere.
Errors = tuple[Tensor, Tensor | None]


class SyntheticTrainer(NetworkTrainer):
    """A network that steps states, its optimiser and its data.

    Args:
        observations: what was measured; the trainer takes its statistics, windows and targets from them.
        config: of the network's training.
        seed: of the run; weights and batches have streams of their own.
        num_predict_steps, epochs: of this run, which are the hybrid's in a hybrid.
        device: where the network trains.
        fresh_batch: windows of fresh trajectories in each update; None: `config.batch_size`.
        fresh_length: steps of these windows, at most those of the others; None: as long.
        fresh_updates: most updates in an epoch that they make; None: one pass over their trajectories.

    Raises:
        RanksError: several processes train, and `config` asks for noise.

    Attributes:
        data: what was measured in the windows.
    """

    model: SyntheticModel
    predictor: SyntheticModel
    batches: WindowBatches

    def __init__(
        self,
        observations: Observations,
        config: SyntheticConfig,
        seed: int,
        *,
        num_predict_steps: int,
        epochs: int,
        device: torch.device,
        fresh_batch: int | None = None,
        fresh_length: int | None = None,
        fresh_updates: int | None = None,
    ) -> None:
        mean, std = observations.statistics()
        model = SyntheticModel.create(
            config.network,
            observations.layout,
            mean=mean,
            std=std,
            change_std=change_std(observations),
            seed=seed,
        )
        _show(model, observations)
        windows = Windows.of(observations, num_predict_steps, config.use_sliding_window)
        kind = StoredStarts if is_mapped(observations.values) else WindowStarts
        starts = kind(observations, windows)
        super().__init__(
            model, config, epochs=epochs, windows=windows, starts=starts, dt=observations.dt, device=device
        )
        self.data = WindowData.of(observations, windows, self.model)
        fresh = fresh_batch or config.batch_size, fresh_updates
        self.batches = WindowBatches(windows, config.batch_size, *fresh, seed)
        self._fresh_length = fresh_length or num_predict_steps
        self._ranks = current()
        if self._ranks is not None and config.input_noise > 0:
            raise RanksError(
                "synthetic.input_noise is drawn for whole batches, of which each process of torchrun has a part: set "
                "it to 0, or train in one process"
            )
        if self._ranks is not None and self.optimisation.least_squares is not None:
            raise RanksError("levenberg_marquardt takes its steps in one process: take adam, or train in one process")
        numbers = {"num_predict_steps": num_predict_steps, "epochs": epochs, "fresh_updates": fresh_updates}
        numbers |= {"fresh_batch": fresh_batch, "fresh_length": fresh_length}
        section = {"config": described(config), "seed": seed, "device": device.type, "arguments": numbers}
        self._made_of = observations, section
        # Whether rollouts along the training simulations are what the network is judged by.
        self._judged = observations.heldout is not None and not observations.val

    def window_starts(self, predict: Predict, *, real_alone: bool) -> States:
        """The windows' initial states; see `NetworkTrainer.window_starts`."""
        return self.starts.fill(predict, self.data.observed if real_alone else None)

    def prepare(self, starts: States, physical: Tensor | None = None, fresh: Tensor | None = None) -> Samples:
        """Cast and normalise what an epoch trains on; see `NetworkTrainer.prepare`."""
        if isinstance(starts, StoredStarts):
            return Samples(NormalisedStarts(starts, self.normalise))
        return super().prepare(starts, physical, fresh)

    @torch.no_grad()
    def targets(self, samples: Samples) -> tuple[Tensor, Tensor | None]:
        """The network's rollouts from all starts; see `NetworkTrainer.targets`."""
        starts = samples.starts[:] if samples.fresh is None else torch.cat([samples.starts[:], samples.fresh[:, 0]])
        model = self.predictor.eval()
        return model.denormalise(model.rollout_normalised(starts, self.windows.length)), None

    def epoch(self, epoch: int, samples: Samples, alpha: float = 1.0) -> dict[str, float]:
        """One pass over all windows, in random order; see `NetworkTrainer.epoch` and `WindowBatches.updates`.

        Other processes take their parts of it where there are any, see `hyco.training.ranks`.
        """
        # A step that the network corrects is known here alone.
        self.optimisation.ranks = self._ranks if self.model.base is None else None
        if self.optimisation.ranks is not None and self.optimisation.ranks.leads:
            self._tell(self.optimisation.ranks, epoch, samples, alpha)
        curriculum, length = self.config.curriculum, self.windows.length
        if curriculum is not None:
            length = curriculum.length(epoch, length)
        if alpha == 0 and samples.fresh is not None and not self._judged:  # no measurement is to be reached
            length = min(length, self._fresh_length)
        batches = self.batches.updates(samples.fresh, min(length, self._fresh_length))
        if self.optimisation.least_squares is not None:
            seen = self.data.observed if samples.physical is None else torch.ones_like(self.data.observed)
            given = [(which, fresh) for which, fresh in batches if fresh is not None or bool(seen[which].any())]
            errors = [partial(self.errors, samples, alpha, which, fresh, length) for which, fresh in given]
            return self.optimisation.step_of_least_squares(epoch, errors)
        batches = self.data.ahead(batches)
        losses = (self.loss(samples, alpha, which, fresh, length) for which, fresh in batches)
        return self.optimisation.epoch(epoch, losses)

    def _tell(self, ranks: Ranks, epoch: int, samples: Samples, alpha: float) -> None:
        """Say what the other processes are to train, if that is not known, and what this epoch begins with."""
        threads = torch.get_num_threads()
        if ranks.trainer is not self:
            observations, setup = self._made_of
            file = file_of(observations.values)
            data = observations.to_bundle()
            meta = {**setup, "file": None if file is None else str(file), "observations": data.metadata}
            ranks.send(Bundle({} if file else data.tensors, {"order": "trainer", "threads": threads, **meta}))
            ranks.trainer = self
        tensors = prefixed("state", {**self.optimisation.state(), **self.batches.state()})
        given = {"starts": samples.starts, "physical": samples.physical, "fresh": samples.fresh}
        tensors |= prefixed("samples", {name: value for name, value in given.items() if isinstance(value, Tensor)})
        finite = self.optimisation.finite.describe()
        meta = {"order": "epoch", "epoch": epoch, "alpha": alpha, "finite": finite, "threads": threads}
        ranks.send(Bundle(tensors, meta))

    def loss(
        self,
        samples: Samples,
        alpha: float,
        which: Tensor,
        fresh: Tensor | None = None,
        length: int | None = None,
    ) -> Tensor | None:
        """Weighted loss of some windows, with gradient; None where there is nothing to learn from.

        Windows without observations count for the physical model's predictions alone.

        Args:
            samples: see `prepare`.
            alpha: weight of the real data.
            which: the windows, `[w]`.
            fresh: trajectories beside them, `[f, l + 1, C, *space]` with l <= length, normalised.
            length: of the rollouts; None: of the windows.
        """
        length = length or self.windows.length
        if samples.physical is None:
            which = which[self.data.observed[which]]
            if not len(which) and fresh is None:
                return None
        if self.optimisation.ranks is not None:
            return self._part_of_loss(self.optimisation.ranks, samples, alpha, which, fresh, length)
        real, model = _mean_squares(*self._errors(samples, alpha, which, fresh, length))
        return real if model is None else weighted_loss(alpha, real, model)

    def errors(
        self, samples: Samples, alpha: float, which: Tensor, fresh: Tensor | None = None, length: int | None = None
    ) -> Tensor:
        """What the sum of squares of which is `loss`, flat; only where there is something to learn from."""
        length = length or self.windows.length
        if samples.physical is None:
            which = which[self.data.observed[which]]
        real, model = self._errors(samples, alpha, which, fresh, length)
        parts = [] if real is None else [scaled_errors(*real) * (1 if model is None else alpha**0.5)]
        if model is not None:
            parts.append(scaled_errors(*model) * (1 - alpha) ** 0.5)
        return torch.cat(parts)

    def _part_of_loss(
        self, ranks: Ranks, samples: Samples, alpha: float, which: Tensor, fresh: Tensor | None, length: int
    ) -> Tensor:
        """This process's summand of the loss: its means, each times its part of what they are means over."""
        mine, own = ranks.own(which), None if fresh is None else ranks.own(fresh)
        if not len(mine) and (own is None or not len(own)):
            return torch.zeros((), device=self.device)
        real, model = _mean_squares(*self._errors(samples, alpha, mine, own, length, all_windows=which))
        if real is not None:
            real = real * (self.data.count(mine, length) / self.data.count(which, length))
        if model is not None:
            both = [(mine, own), (which, fresh)]
            part, whole = (
                (length * len(rows) if samples.physical is not None else 0)
                + (0 if others is None else len(others) * min(length, others.shape[1] - 1))
                for rows, others in both
            )
            model = model * (part / whole)
        return real if model is None and real is not None else weighted_loss(alpha, real, model)

    def _errors(
        self,
        samples: Samples,
        alpha: float,
        which: Tensor,
        fresh: Tensor | None,
        length: int,
        all_windows: Tensor | None = None,
    ) -> tuple[Errors | None, Errors | None]:
        """Errors, and where they count, of measurements and of predictions; None: there are none.

        Args:
            samples, alpha, which, fresh, length: see `loss`.
            all_windows: of the batch, where `which` is a part of it.
        """
        starts, other = samples.starts[which], None
        if samples.physical is not None:
            other = samples.physical[which, :length]
        shorter = fresh is not None and fresh.shape[1] <= length
        if fresh is not None and not shorter:
            starts = torch.cat([starts, fresh[:, 0]])
            other = fresh[:, 1:] if other is None else torch.cat([other, fresh[:, 1:]])
        with_real = (alpha > 0 or other is None) and self.data.sees(
            which if all_windows is None else all_windows, length
        )
        # A physical step that the network corrects may know t. It learns from real data alone then.
        time = 0.0 if self.model.base is None else self.windows.start_times(self.dt, which)
        prediction = self.training_rollout(starts, length, time)
        real = self.data.errors(prediction[: len(which)], which, starts[: len(which)]) if with_real else None
        distances = [] if other is None else [prediction[len(prediction) - len(other) :] - other]
        if fresh is not None and shorter:
            distances.append(self.training_rollout(fresh[:, 0], fresh.shape[1] - 1) - fresh[:, 1:])
        return real, _without_padding(distances, self.model.valid) if distances else None

    def training_rollout(self, starts: Tensor, length: int, time: Time = 0.0) -> Tensor:
        """The rollout of an update, as the options of `config` say, with gradient.

        Args:
            starts: normalised states, `[B, C, *space]`.
            time: t of them.

        Returns:
            Normalised states `[B, length, C, *space]`, float32.
        """
        config = self.config
        if not len(starts):  # of a process with no part of a small batch
            return starts.new_zeros((0, length, *starts.shape[1:]), dtype=torch.float32)
        if config.input_noise > 0:
            noise = self.batches.noise(starts) * config.input_noise
            starts = starts + (noise if self.model.valid is None else noise * self.model.valid)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            return self.model.rollout_normalised(
                starts,
                length,
                time=time,
                backpropagation_steps=config.backpropagation_steps,
                checkpointing=config.gradient_checkpointing,
            )


def _mean_squares(real: Errors | None, model: Errors | None) -> tuple[Tensor | None, Tensor | None]:
    """Mean squares of errors where they count."""
    return None if real is None else mean_square(*real), None if model is None else mean_square(*model)


def _without_padding(distances: list[Tensor], valid: Tensor | None) -> Errors:
    """Distances `[w, t, C, *space]`, each of its own length, and which entries are no padding."""
    flat = distances[0] if len(distances) == 1 else torch.cat([d.flatten(0, 1) for d in distances])
    return flat, None if valid is None else valid.expand(flat.shape)


def _show(model: SyntheticModel, observations: Observations) -> None:
    """Tell a network that asks for it what it is to be trained on."""
    if not isinstance(model.network, SeesValues):
        return
    measured, mean, std = observations.measured(), model.mean.flatten(), model.std.flatten()
    values, scales = (
        (together(measured) - mean) / std,
        (largest(measured, mean) / std, model.change_std.flatten() / std),
    )
    model.network.see(values.float(), *(scale.float() for scale in scales))
