"""The synthetic model of a single trajectory: a network of the coordinates (x, t), with the units it was trained in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hyco.fields import Layout
from hyco.networks.network import NetworkConfig, build, network_config
from hyco.networks.network_model import NetworkModel, channel_statistic, check_rollout
from hyco.observations.interpolation import entry_coordinates
from hyco.runtime.random_streams import stream_seed
from hyco.runtime.storage import Bundle
from hyco.trained_model import Time

KIND = "coordinate_model"


class CoordinateModel(NetworkModel):
    """u(x, t) = m + s · N(ξ(x), τ(t)), per channel, with a network N and statistics m, s.

    ξ is 2(x - lower)/size - 1 along an axis with walls, and sin and cos of 2π(x - lower)/size along a periodic one, so
    that u is periodic exactly; τ = 2t/T - 1 with the length T = steps · dt of the trajectory. A trajectory of one step
    is that of a static problem: there time is no input.

    A rollout gives the states at dt, 2 dt, …, whatever state it starts from: the model knows one trajectory. The
    network is float32, statistics and coordinates are float64. Use `create` or `from_bundle` to make one.

    Args:
        network: from coordinates `[N, d']` to normalised values `[N, C]`.
        config: of the network.
        layout: of the states.
        dt: time between two states [time].
        steps: of the trajectory.
        mean, std: statistics m and s of the states, `[C]`, in units of the channels.

    Raises:
        ValueError: the layout is staggered, a statistic is not finite or has not one entry per channel, or a scale is
            not positive.
    """

    space: Tensor

    def __init__(
        self,
        network: nn.Module,
        config: NetworkConfig,
        layout: Layout,
        *,
        dt: float,
        steps: int,
        mean: Tensor,
        std: Tensor,
    ) -> None:
        super().__init__(network, config, layout)
        _check_layout(layout)
        self.dt, self.steps = dt, steps
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, channel_statistic(name, values, layout))
        self.register_buffer("space", self.space_inputs(cell_centres(layout)), persistent=False)

    @classmethod
    def create(
        cls,
        network: NetworkConfig | Mapping[str, Any],
        layout: Layout,
        *,
        dt: float,
        steps: int,
        mean: Tensor,
        std: Tensor,
        seed: int,
    ) -> CoordinateModel:
        """A model with random weights, which depend on `seed` alone (its stream "weights"), on the CPU.

        Args:
            network: its configuration, e.g. `{"name": "mlp"}`.
            layout, dt, steps, mean, std: see the class.

        Raises:
            ValueError: an unknown network, one that steps states, or see the class.
        """
        config = network if isinstance(network, NetworkConfig) else network_config(network)
        if config.stepping:
            raise ValueError(f"network.name: {config.name} steps states; a coordinate model needs one such as mlp")
        _check_layout(layout)
        inputs = sum(2 if wraps else 1 for wraps in layout.periodic) + int(steps > 1)
        module = build(
            config,
            in_channels=inputs,
            out_channels=len(layout.channels),
            boundaries=layout.boundaries,
            seed=stream_seed(seed, "weights"),
        )
        return cls(module, config, layout, dt=dt, steps=steps, mean=mean, std=std)

    @property
    def static(self) -> bool:
        """Whether the problem has no time."""
        return self.steps == 1

    def space_inputs(self, positions: Tensor) -> Tensor:
        """What the network sees of places `[N, d]`: `[N, d']`, float32."""
        grid, inputs = self.layout.grid, []
        for i, wraps in enumerate(self.layout.periodic):
            part = (positions[:, i].double() - grid.lower[i]) / grid.size[i]
            if wraps:
                inputs += [(2 * math.pi * part).sin(), (2 * math.pi * part).cos()]
            else:
                inputs.append(2 * part - 1)
        return torch.stack(inputs, dim=1).float()

    def with_time(self, inputs: Tensor, step: Tensor) -> Tensor:
        """Inputs of places `[N, d']` and steps since t = 0, `[N]`, together: `[N, d'']`, float32."""
        if self.static:
            return inputs
        time = (2 * step.double() / self.steps - 1).float().to(inputs.device)
        return torch.cat([inputs, time[:, None]], dim=1)

    def at(self, inputs: Tensor) -> Tensor:
        """Normalised values `[N, C]`, float32, with gradient, for inputs from `with_time`."""
        values: Tensor = self.network(inputs)
        return values

    def states(self, steps: Tensor) -> Tensor:
        """Normalised states `[T, C, *space]`, float32, with gradient, at numbers of steps `[T]` since t = 0."""
        cells, count = len(self.space), len(steps)
        inputs = self.with_time(self.space.repeat(count, 1), steps.repeat_interleave(cells))
        return self.at(inputs).reshape(count, cells, -1).transpose(1, 2).reshape(count, -1, *self.layout.shape)

    def normalise(self, x: Tensor) -> Tensor:
        """Physical states `[*batch, C, *space]`, float32 or float64, as normalised float32."""
        return ((x - self._wide(self.mean)) / self._wide(self.std)).float()

    def denormalise(self, z: Tensor) -> Tensor:
        """The inverse of `normalise`, in float64."""
        return self._wide(self.mean) + self._wide(self.std) * z

    def rollout_normalised(self, z: Tensor, steps: int, *, time: Time = 0.0) -> Tensor:
        """The states at dt, …, steps · dt, `[B, T, C, *space]`, float32; of `z` `[B, C, *space]` only B counts.

        It knows one trajectory, from t = 0: another `time` has no effect.

        Raises:
            ValueError: the state is not one of the layout, or there is no step.
        """
        check_rollout(z, steps, self.layout)
        states = self.states(torch.arange(1, steps + 1))
        return states.expand(len(z), *states.shape)

    def rollout_with_gradient(self, state: Tensor, steps: int, time: Time = 0.0) -> Tensor:
        """The same in physical units, with gradient, in the dtype of `state`."""
        return self.denormalise(self.rollout_normalised(state, steps)).to(state.dtype)

    def describe(self) -> dict[str, Any]:
        """The metadata of `to_bundle`."""
        return {
            "kind": KIND,
            "network": self.config.model_dump(mode="json"),
            "layout": self.layout.to_dict(),
            "dt": self.dt,
            "steps": self.steps,
            "dtype": "float32",
            "weights": self.weight_count,
        }

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> CoordinateModel:
        """The inverse of `to_bundle`, bit for bit; entries of the metadata that it does not know are ignored.

        Raises:
            ValueError: the bundle holds something else.
        """
        tensors, meta = bundle.tensors, bundle.metadata
        if meta.get("kind") != KIND:
            raise ValueError(f"the file holds {meta.get('kind')!r}, not a {KIND!r}")
        layout = Layout.from_dict(meta["layout"])
        model = cls.create(
            meta["network"],
            layout,
            dt=float(meta["dt"]),
            steps=int(meta["steps"]),
            mean=tensors["mean"],
            std=tensors["std"],
            seed=0,
        )
        model.load_state_dict(tensors)
        return model.to(tensors["mean"].device)

    def _wide(self, statistic: Tensor) -> Tensor:
        """A statistic as `[C, 1, …]`."""
        return statistic.reshape(-1, *[1] * self.layout.grid.dimensions)


def cell_centres(layout: Layout) -> Tensor:
    """The centres of all cells, `[cells, d]` float64, in the order of a flattened state [length]."""
    along = entry_coordinates(layout, 0).values()
    return torch.stack(torch.meshgrid(*along, indexing="ij"), dim=-1).reshape(-1, layout.grid.dimensions)


def _check_layout(layout: Layout) -> None:
    if any(field.staggered for field in layout.fields):
        raise ValueError("network.name: a coordinate network is for centred fields; this equation has staggered ones")
