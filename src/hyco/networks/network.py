"""Networks by name, and what every network has in common.

To add one, write one file with a subclass of `NetworkConfig` (its keys in YAML) and an `nn.Module` that has it as
`config_class` and takes the arguments of `build`; then add one line to `NETWORKS`. A network maps the normalised state
`[B, C, *space]` to its normalised change, or, where its `stepping` is false, coordinates `[N, d]` to the normalised
state there, `[N, C]`. All weights are created in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from torch import nn

# Names and where they live; a module is imported when its network is asked for.
NETWORKS = {
    "dilated_resnet": "hyco.networks.dilated_resnet:DilatedResNet",
    "fno": "hyco.networks.fno:FNO",
    "mlp": "hyco.networks.mlp:MLP",
    "resnet": "hyco.networks.resnet:ResNet",
    "unet": "hyco.networks.unet:UNet",
}


class NetworkConfig(BaseModel):
    """What every network has; the file of each network adds its own keys.

    Attributes:
        stepping: whether the network steps a state forward; else it maps coordinates to the state there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    stepping: ClassVar[bool] = True

    name: str = Field(description="name of the network in the registry")
    coordinates: bool = Field(
        default=False,
        description="also feed the position, so that the network can learn a coefficient that varies in space",
    )

    def check(self, shape: Sequence[int], boundaries: Sequence[str]) -> tuple[str, str] | None:
        """The key that does not fit to a grid, and why; None if all do.

        Args:
            shape: cells of the network's input along each axis.
            boundaries: per axis, see `build`.
        """


def available() -> list[str]:
    """The names that `network.name` may have."""
    return sorted(NETWORKS)


def network_class(name: str) -> type[nn.Module]:
    """The class of a network.

    Raises:
        ValueError: there is no network of this name; the message lists those that exist.
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}; available: {', '.join(available())}")
    module, _, attribute = NETWORKS[name].partition(":")
    found: type[nn.Module] = getattr(import_module(module), attribute)
    return found


def network_config(data: Mapping[str, Any]) -> NetworkConfig:
    """Validate a `network` section with the model of the network that it names.

    Raises:
        ValueError: no name, or an unknown one.
        pydantic.ValidationError: a wrong key or value.
    """
    if "name" not in data:
        raise ValueError(f"a network needs a name; available: {', '.join(available())}")
    config_class: type[NetworkConfig] = getattr(network_class(str(data["name"])), "config_class")  # noqa: B009
    return config_class.model_validate(dict(data))


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
        return network_class(config.name)(config, in_channels, out_channels, boundaries)
