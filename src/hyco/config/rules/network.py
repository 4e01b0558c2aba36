"""The networks: whether they fit to the grid, and to how they are to be trained."""

from __future__ import annotations

from collections.abc import Iterator

from hyco.config.errors import Key, Mistake
from hyco.config.root import Configuration
from hyco.equations.equation import Equation
from hyco.networks.network import NetworkConfig, TrainingSetup, network_config
from hyco.training.config import SyntheticConfig


def mistakes(c: Configuration, equation: Equation) -> Iterator[Mistake]:
    """Of the section `synthetic`, of the hybrid's synthetic part, and of the network of a correction."""
    layout = equation.layout
    sections: list[tuple[Key, SyntheticConfig, int, int]] = [
        (("synthetic",), c.synthetic, c.synthetic.num_predict_steps, 0),
        (("hybrid", "synthetic"), c.hybrid.synthetic, c.hybrid.num_predict_steps, c.hybrid.interaction.given_count),
    ]
    for prefix, section, num_predict_steps, fresh_starts in sections:
        network = network_config(section.network)
        if mistake := network.check(layout.shape, layout.boundaries):
            key, text = mistake
            yield (*prefix, "network", key), text
        setup = TrainingSetup(
            equation=c.equation.name,
            layout=layout,
            steps=c.generation.steps,
            random_channels=_random_channels(c, equation),
            num_predict_steps=num_predict_steps,
            fresh_starts=fresh_starts,
            changed=_changed(section),
        )
        places = {
            "name": (*prefix, "network", "name"),
            "num_predict_steps": (prefix[0], "num_predict_steps"),
            "fresh_starts": ("hybrid", "interaction", "count"),
        }
        if section.optimizer == "levenberg_marquardt":
            for key, text in _of_least_squares(c, section, network):
                yield (*prefix, key), text
        for key, text in network.mistakes(setup):
            yield places.get(key, (*prefix, key)), text
    if c.hybrid.correction is not None and c.hybrid.correction.network is not None:
        correction = network_config(c.hybrid.correction.network)
        if mistake := correction.check(layout.shape, layout.boundaries):
            key, text = mistake
            yield ("hybrid", "correction", "network", key), text


def _of_least_squares(c: Configuration, section: SyntheticConfig, network: NetworkConfig) -> Iterator[tuple[str, str]]:
    """What cannot be trained by Levenberg-Marquardt: key, and why."""
    if not network.few_weights:
        yield (
            "optimizer",
            f"levenberg_marquardt trains networks of few weights: pseudospectral; {network.name} takes adam",
        )
    if section is c.hybrid.synthetic and (c.hybrid.correction is not None or c.hybrid.strategy == "auto"):
        yield "optimizer", "levenberg_marquardt trains no network that corrects a physical step: take adam"
    if section.weight_decay > 0:
        yield "weight_decay", "levenberg_marquardt knows none: set it to 0, or take adam"
    if section.backpropagation_steps is not None:
        yield "backpropagation_steps", "levenberg_marquardt needs whole derivatives: set it to null, or take adam"
    if section.input_noise > 0:
        yield "input_noise", "levenberg_marquardt needs the same errors each time: set it to 0, or take adam"
    if section.precision != "float32":
        yield "precision", "levenberg_marquardt needs float32: take it, or adam"


def _random_channels(c: Configuration, equation: Equation) -> list[str]:
    """Channels that start from another random state in each simulation."""
    if c.equation.is_static or c.generation.simulations == 1:
        return []
    return [channel for channel in equation.layout.channels if channel not in c.generation.initial_state]


def _changed(section: SyntheticConfig) -> dict[str, object]:
    """The keys that do not have their default, with that default."""
    defaults = {key: field.default for key, field in SyntheticConfig.model_fields.items()}
    return {key: default for key, default in defaults.items() if getattr(section, key) != default}
