"""Keys that a configuration gives and that nothing reads, because of what it says elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from hyco.config.errors import Mistake
from hyco.config.root import Configuration
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.interaction import InteractionConfig
from hyco.networks.network import network_config
from hyco.training.config import SyntheticConfig

# Keys of networks that know coordinates, which a network that steps states does not read.
_OF_COORDINATES = ("points_per_update", "updates_per_epoch", "ghost_points")
# What each key of a schedule belongs to.
_SHAPES = {"final": ("cosine",), "decay": ("exponential", "step"), "every": ("step",)}
# What sources each key of the interaction belongs to, where it is not of all.
_SOURCES = {
    "shift": ("trajectories",),
    "mixing_length": ("trajectories",),
    "scale": ("trajectories", "estimated"),
    "length_scale": ("distribution",),
    "amplitude": ("distribution",),
}


def keys_without_effect(c: Configuration, sources: Mapping[str, Mapping[str, Any]] | None = None) -> list[Mistake]:
    """Keys that were given and have no effect, and what they need to have one.

    A key of `synthetic` that the hybrid makes use of is none of them; one that neither uses is named once. The keys of
    an optimiser are not among them: `InversionConfig.without_effect`. What an experiment gives `hybrid.interaction` for
    its own alpha or `count` is none either where a later source, as `--params`, has another one.

    Args:
        sources: content of files and of `--params`, the later ones laid over the earlier; None: not known.
    """
    idle: list[Mistake] = []
    alone, in_hybrid = _of_network(c.synthetic), _of_network(c.hybrid.synthetic)
    # The hybrid's part has inherited what the section gives.
    idle += [(("synthetic", *key.split(".")), text) for key, text in alone.items() if key in in_hybrid]
    idle += [(("hybrid", "synthetic", *key.split(".")), text) for key, text in in_hybrid.items() if key not in alone]
    starts: list[Mistake] = [(("hybrid", "interaction", key), text) for key, text in _of_interaction(c.hybrid).items()]
    layers = list((sources or {}).values())
    decided = max(_layer(layers, "alpha"), _layer(layers, "interaction", "count"))
    starts = [(key, text) for key, text in starts if _layer(layers, *key[1:]) >= decided]
    return idle + starts


def _of_network(config: SyntheticConfig) -> dict[str, str]:
    """Of a section `synthetic`, by key."""
    idle = {}
    network = network_config(config.network)
    if network.stepping:
        text = f"is for networks of coordinates, such as mlp; {network.name} steps states"
        idle = dict.fromkeys(_given(config, _OF_COORDINATES), text)
    scheduler = config.scheduler
    for key in _given(scheduler, _SHAPES):
        if scheduler.name not in _SHAPES[key]:
            idle[f"scheduler.{key}"] = f"needs scheduler.name: {' or '.join(_SHAPES[key])}; it is {scheduler.name}"
    return idle


def _of_interaction(hybrid: HybridConfig) -> dict[str, str]:
    """Of the section `hybrid.interaction`, by key."""
    config = hybrid.interaction
    others = [key for key in InteractionConfig.model_fields if key != "count"]
    if config.count == 0:
        return dict.fromkeys(_given(config, others), "needs hybrid.interaction.count above 0")
    if config.count == "auto" and hybrid.alpha != "auto":
        return dict.fromkeys(_given(config, others), "needs hybrid.interaction.count above 0, or hybrid.alpha: auto")
    return {
        key: f"needs hybrid.interaction.source: {' or '.join(_SOURCES[key])}; it is {config.source}"
        for key in _given(config, _SOURCES)
        if config.source not in _SOURCES[key]
    }


def _layer(layers: Sequence[Mapping[str, Any]], *key: str | int) -> int:
    """The last of some files that has a key of the section `hybrid`; -1: none."""

    def has(node: Any) -> bool:
        for part in ("hybrid", *key):
            if not isinstance(node, Mapping) or part not in node:
                return False
            node = node[part]
        return True

    return max((i for i, layer in enumerate(layers) if has(layer)), default=-1)


def _given(config: BaseModel, keys: Iterable[str]) -> list[str]:
    """Those of some keys that the configuration has."""
    return [key for key in keys if key in config.model_fields_set]
