"""Networks by name, and what every network has in common.

To add one, write one file anywhere on Python's path (the folder of the project is on it) with

- a subclass of `NetworkConfig`, its keys in YAML;
- an `nn.Module` that has it as `config_class` and is made as `Network(config, in_channels, out_channels, boundaries)`,

and name it `network: {name: module:Class}`. The configuration is validated by the subclass as that of any network, and
files of trained models keep the name as it is configured, so that `name` is left to `NetworkConfig`. A package that is
installed may give its network a short name, in the entry-point group `hyco.networks`; those of this package stand in
`NETWORKS`.

A network maps the normalised state `[B, C, *space]` to its normalised change; one whose keys are a `CoordinateConfig`
(`hyco.networks.coordinate_config`) maps coordinates `[N, d]` to the normalised state there, `[N, C]`. All weights are
created in float32. One that has a method `see` is told values that it is going to learn from, see `SeesValues`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from hyco.runtime.plugins import Registry, takes

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hyco.fields import Layout


@dataclass(frozen=True)
class TrainingSetup:
    """What a network is to be trained on, and how, as far as it may not suit a network.

    Attributes:
        equation: name of the equation.
        layout: of its states.
        steps: of a trajectory.
        random_channels: channels whose initial state is random, and so another in each of several trajectories.
        num_predict_steps: of a training window.
        fresh_starts: initial states beside those of the data, from which it learns the physical model's predictions.
        changed: keys of the section `synthetic` that do not have their default, with that default.
    """

    equation: str
    layout: Layout
    steps: int
    random_channels: Sequence[str]
    num_predict_steps: int
    fresh_starts: int = 0
    changed: Mapping[str, Any] = field(default_factory=dict)


class NetworkConfig(BaseModel):
    """What every network has; the file of each network adds its own keys.

    Attributes:
        stepping: whether the network steps a state forward; else it maps coordinates to the state there.
        few_weights: whether Levenberg-Marquardt trains it (`synthetic.optimizer`): it is differentiated forward, once
            for each weight.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)
    stepping: ClassVar[bool] = True
    few_weights: ClassVar[bool] = False

    name: str = Field(description="name of the network in the registry, or package.module:Class")
    coordinates: bool | PositiveInt = Field(
        default=False,
        description="also feed the position, so that the network can learn what is not the same everywhere; a number: "
        "as so many waves along each axis, for a force or a coefficient that varies within a fraction of the domain",
    )

    def check(self, shape: Sequence[int], boundaries: Sequence[str]) -> tuple[str, str] | None:
        """The key that does not fit to a grid, and why; None if all do.

        Args:
            shape: cells of the network's input along each axis.
            boundaries: per axis, see `build`.
        """
        if self.coordinates > max(1, most := min(shape) // 2):
            cells = " x ".join(map(str, shape))
            return "coordinates", f"{self.coordinates} waves are more than {cells} cells hold; allowed: up to {most}"
        return None

    def mistakes(self, setup: TrainingSetup) -> list[tuple[str, str]]:
        """Why this kind of network cannot be trained so: `name`, a field of the setup or a changed key, and the text.

        By default none.
        """
        return []


class NetworkClass(Protocol):
    """What a class of networks has."""

    config_class: ClassVar[type[NetworkConfig]]

    def __call__(self, config: Any, in_channels: int, out_channels: int, boundaries: Sequence[str], /) -> nn.Module:
        """A network with random weights; see `build` for the arguments."""


@runtime_checkable
class SeesValues(Protocol):
    """A network that is told before its training what it is to be trained on."""

    def see(self, values: Tensor, largest: Tensor, change: Tensor) -> None:
        """Once, before the first update; all in float32.

        Args:
            values: a share of the measured values, of all channels together, normalised, `[N, C]`; N may be 0.
            largest: the largest absolute normalised value that was measured, `[C]`.
            change: the unit of the network's answers in units of the normalised state, `[C]`.
        """


def _why_unusable(network: type[Any]) -> str | None:
    """What is wrong with a network from outside beside its class and its keys, or None."""
    if takes(network, None, 1, 1, ("periodic",)):
        return None
    return f"{network.__name__} is made as {network.__name__}(config, in_channels, out_channels, boundaries)"


NETWORKS: Registry[NetworkClass] = Registry(
    kind="network",
    built_in={
        "dilated_resnet": "hyco.networks.dilated_resnet:DilatedResNet",
        "fno": "hyco.networks.fno:FNO",
        "gated": "hyco.networks.gated:Gated",
        "mlp": "hyco.networks.mlp:MLP",
        "pseudospectral": "hyco.networks.pseudospectral:Pseudospectral",
        "resnet": "hyco.networks.resnet:ResNet",
        "unet": "hyco.networks.unet:UNet",
    },
    group="hyco.networks",
    base="torch.nn:Module",
    config="hyco.networks.network:NetworkConfig",
    check=_why_unusable,
)


def network_config(data: Mapping[str, Any]) -> NetworkConfig:
    """Validate a `network` section with the model of the network that it names.

    Raises:
        ValueError: no name, an unknown one, or one of a class that cannot be used.
        pydantic.ValidationError: a wrong key or value.
    """
    if "name" not in data:
        raise ValueError(f"a network needs a name; available: {', '.join(NETWORKS.available())}")
    return NETWORKS.load(str(data["name"])).config_class.model_validate(dict(data))


def build(
    config: NetworkConfig | Mapping[str, Any],
    *,
    in_channels: int,
    out_channels: int,
    boundaries: tuple[str, ...],
    seed: int,
) -> nn.Module:
    """The network that a configuration describes, with weights that depend on `seed` alone.

    Args:
        in_channels: channels of the state, and of the coordinates if there are any.
        out_channels: channels of the state.
        boundaries: per spatial axis one of `padding.BOUNDARIES`; its length is the number of dimensions.
        seed: of the random weights; no global random state is used or changed.

    Raises:
        ValueError: an unknown network or boundary, or a number of dimensions other than 1 to 3.
    """
    import torch

    if not isinstance(config, NetworkConfig):
        config = network_config(config)
    # On the CPU generator alone: torch.manual_seed would also reseed the accelerators.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        return NETWORKS.load(config.name)(config, in_channels, out_channels, boundaries)
