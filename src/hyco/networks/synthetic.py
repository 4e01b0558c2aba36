"""The synthetic model: a network that steps a state forward, with the units it was trained in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from hyco.fields import Layout
from hyco.networks.coordinates import coordinate_channels
from hyco.networks.network import NetworkConfig, build, network_config
from hyco.networks.network_model import NetworkModel, channel_statistic, check_rollout
from hyco.runtime.random_streams import stream_seed
from hyco.runtime.storage import Bundle
from hyco.trained_model import Time

KIND = "synthetic_model"


class Base(nn.Module, ABC):
    """A step of normalised states `[B, C, *space]` that a network corrects."""

    @abstractmethod
    def forward(self, z: Tensor, time: Time, number: int) -> Tensor:
        """The state one step later.

        Args:
            time: t where the rollout began, a number or `[B]`.
            number: steps since then.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """As plain JSON values, what it is made of beside its tensors."""


class SyntheticModel(NetworkModel):
    """u(t + dt) = u(t) + s_Δ · N((u(t) - m) / s), per channel, with a network N and statistics m, s, s_Δ.

    Inside, a state is normalised and float32: z = (u - m) / s, and a step is z ← z + (s_Δ / s) N(z). A rollout
    normalises once, and gives results in the dtype of its initial state. The casts and the statistics are in float64.
    The padding of staggered tensors is zero in every result, and the network does not see an axis' padding if all
    channels have it.

    With a `base` S (see `correct`; there is none at first) the network corrects it: z ← S(z) + (s_Δ / s) N(S(z)).

    Use `create` or `from_bundle` to make one.

    Args:
        network: from the normalised state (and coordinates, if `config` says so) to its change in units of s_Δ.
        config: of the network.
        layout: of the states.
        mean, std: statistics m and s of the states, `[C]`, in units of the channels.
        change_std: size s_Δ of the changes in one step, `[C]`, in units of the channels.

    Raises:
        ValueError: a statistic is not finite, has not one entry per channel, or a scale is not positive.
    """

    change_std: Tensor
    valid: Tensor | None
    coordinates: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        config: NetworkConfig,
        layout: Layout,
        *,
        mean: Tensor,
        std: Tensor,
        change_std: Tensor,
    ) -> None:
        super().__init__(network, config, layout)
        self.base: Base | None = None
        for name, values in (("mean", mean), ("std", std), ("change_std", change_std)):
            statistic = channel_statistic(name, values, layout)
            self.register_buffer(name, statistic.reshape(-1, *[1] * layout.grid.dimensions))
        valid = layout.valid
        # None where there is no padding: then nothing need be multiplied or cut out.
        self.register_buffer("valid", None if bool(valid.all()) else valid, persistent=False)
        self._inner = _filled(valid)
        self._margins = _margins(self._inner, layout.shape)
        inner_shape = [s.stop - s.start for s in self._inner]
        waves = int(config.coordinates)
        channels = coordinate_channels(inner_shape, layout.periodic, waves) if waves else None
        self.register_buffer("coordinates", channels, persistent=False)

    @classmethod
    def create(
        cls,
        network: NetworkConfig | Mapping[str, Any],
        layout: Layout,
        *,
        mean: Tensor,
        std: Tensor,
        change_std: Tensor,
        seed: int,
    ) -> SyntheticModel:
        """A model with random weights, which depend on `seed` alone (its stream "weights"), on the CPU.

        Args:
            network: its configuration, e.g. `{"name": "unet"}`.
            layout, mean, std, change_std: see the class.

        Raises:
            ValueError: an unknown network, one that does not fit to the grid, or see the class.
        """
        config = network if isinstance(network, NetworkConfig) else network_config(network)
        if not config.stepping:
            raise ValueError(f"network.name: {config.name} maps coordinates; here the network must step states")
        channels, boundaries = len(layout.channels), layout.boundaries
        mistake = config.check([s.stop - s.start for s in _filled(layout.valid)], boundaries)
        if mistake is not None:
            key, text = mistake
            raise ValueError(f"network.{key}: {text}")
        waves = int(config.coordinates)
        extra = len(coordinate_channels([1] * len(boundaries), layout.periodic, waves)) if waves else 0
        module = build(
            config,
            in_channels=channels + extra,
            out_channels=channels,
            boundaries=boundaries,
            seed=stream_seed(seed, "weights"),
        )
        return cls(module, config, layout, mean=mean, std=std, change_std=change_std)

    def correct(self, base: Base | None) -> None:
        """From now on correct this step of normalised states; None: none."""
        self.base = base

    def normalise(self, x: Tensor) -> Tensor:
        """Physical states `[*batch, C, *space]`, float32 or float64, as normalised float32; padding becomes zero."""
        z = ((x - self.mean) / self.std).float()
        return z if self.valid is None else torch.where(self.valid, z, 0.0)

    def denormalise(self, z: Tensor) -> Tensor:
        """The inverse of `normalise`, in float64; padding stays zero."""
        x = self.mean + self.std * z
        return x if self.valid is None else torch.where(self.valid, x, 0.0)

    def rollout_normalised(
        self,
        z: Tensor,
        steps: int,
        *,
        time: Time = 0.0,
        backpropagation_steps: int | None = None,
        checkpointing: bool = False,
    ) -> Tensor:
        """Repeated steps of a normalised state, with gradient: `[B, C, *space]` to `[B, T, C, *space]`, float32.

        Args:
            time: t of the states; of effect where a `base` knows it.
            backpropagation_steps: the gradient flows through at most so many steps at a time; None: through all.
            checkpointing: compute each step again for the gradient, and keep only the states.

        Raises:
            ValueError: the state is not one of the layout, or there is no step.
        """
        check_rollout(z, steps, self.layout)
        # Once per rollout, not per step: float64 arithmetic on a few numbers costs as much as a small layer.
        scale = (self.change_std / self.std).float()
        states = []
        for step in range(steps):
            if backpropagation_steps is not None and step and step % backpropagation_steps == 0:
                z = z.detach()
            inputs = (z, scale, time, step)
            z = checkpoint(self._step, *inputs, use_reentrant=False) if checkpointing else self._step(*inputs)
            states.append(z)
        return torch.stack(states, dim=1)

    def _step(self, z: Tensor, scale: Tensor, time: Time, number: int) -> Tensor:
        if self.base is not None:
            z = self.base(z, time, number)
        # Mixed precision is for the network: the state itself stays float32.
        return z + scale * self._change(z).float()

    def change(self, state: Tensor) -> Tensor:
        """What the network adds to a state `[B, C, *space]`, in physical units, in float64 like its weights here."""
        z = (state - self.mean) / self.std
        z = z if self.valid is None else torch.where(self.valid, z, 0.0)
        return self.change_std * self._change(z)

    def rollout_with_gradient(self, state: Tensor, steps: int, time: Time = 0.0) -> Tensor:
        """Repeated steps in physical units, with gradient: `[B, C, *space]` to `[B, T, C, *space]`, dtype of `state`.

        Raises:
            ValueError: see `rollout_normalised`.
        """
        return self.denormalise(self.rollout_normalised(self.normalise(state), steps, time=time)).to(state.dtype)

    def forward(self, state: Tensor) -> Tensor:
        """One step in physical units, `[B, C, *space]`, in the dtype of `state`."""
        return self.rollout_with_gradient(state, 1)[:, 0]

    def _change(self, z: Tensor) -> Tensor:
        """The network's output, `[B, C, *space]`, in units of s_Δ."""
        x = z if self.valid is None else z[(slice(None), slice(None), *self._inner)]
        if self.coordinates is not None:
            x = torch.cat([x, self.coordinates.expand(x.shape[0], *self.coordinates.shape)], dim=1)
        change: Tensor = self.network(x)
        if self.valid is None:
            return change
        return torch.where(self.valid, functional.pad(change, self._margins), 0.0)

    def describe(self) -> dict[str, Any]:
        """The metadata of `to_bundle`."""
        metadata = {
            "kind": KIND,
            "network": self.config.model_dump(mode="json"),
            "layout": self.layout.to_dict(),
            "dtype": "float32",
            "weights": self.weight_count,
        }
        if self.base is not None:
            metadata["base"] = self.base.describe()
        return metadata

    @classmethod
    def from_bundle(cls, bundle: Bundle, base: Callable[[SyntheticModel], Base] | None = None) -> SyntheticModel:
        """The inverse of `to_bundle`, bit for bit; entries of the metadata that it does not know are ignored.

        Args:
            base: makes what the network corrects, where it does.

        Raises:
            ValueError: the bundle holds something else, or a correction and there is no base.
        """
        if bundle.metadata.get("kind") != KIND:
            raise ValueError(f"the file holds {bundle.metadata.get('kind')!r}, not a {KIND!r}")
        layout = Layout.from_dict(bundle.metadata["layout"])
        tensors = bundle.tensors
        statistics = {name: tensors[name] for name in ("mean", "std", "change_std")}
        model = cls.create(bundle.metadata["network"], layout, **statistics, seed=0)
        if (base is None) != ("base" not in bundle.metadata):
            raise ValueError("the network corrects a physical step: hyco.hybrid.correction.model_from_bundle reads it")
        model.correct(None if base is None else base(model))
        model.load_state_dict(tensors)
        return model.to(tensors["mean"].device)


def _filled(valid: Tensor) -> tuple[slice, ...]:
    """The smallest box of space that holds every channel's entries."""
    box = []
    for axis in range(1, valid.ndim):
        others = [i for i in range(valid.ndim) if i != axis]
        filled = valid.sum(others).nonzero().flatten()
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return tuple(box)


def _margins(inner: tuple[slice, ...], shape: tuple[int, ...]) -> list[int]:
    """What is missing around a box, in the order that `torch.nn.functional.pad` wants: the last axis first."""
    margins: list[int] = []
    for s, n in zip(reversed(inner), reversed(shape), strict=True):
        margins += [s.start, n - s.stop]
    return margins
