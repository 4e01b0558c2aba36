"""The size of the data and of the networks: no run begins that this machine cannot hold."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from hyco.config.errors import Mistake
from hyco.config.root import Configuration
from hyco.equations.equation import Equation
from hyco.networks.network import NETWORKS, NetworkConfig, network_config
from hyco.runtime.memory import memory_bytes
from hyco.training.config import SyntheticConfig

# Bytes of a number of the trajectories, and of the observations beside it: value and mask.
_NUMBER, _OBSERVED = 8, 9
# Weights beside which all else is large, roughly: that many are not counted.
_FEW = 10**6


def file_sizes(c: Configuration, equation: Equation) -> dict[str, int]:
    """Bytes of the files of data that a run makes, by name."""
    state = len(equation.layout.channels) * equation.layout.grid.cells * (c.generation.steps + 1)
    simulations = 0 if c.measurements is not None else c.generation.simulations
    each = _OBSERVED + (_NUMBER if c.observation.window_start == "truth" else 0)
    return {
        "trajectories": simulations * state * _NUMBER,
        "observations": (len(c.observation.train_sim) + len(c.observation.val_sim)) * state * each,
    }


def sizes(c: Configuration, equation: Equation) -> dict[str, int]:
    """Bytes of what a run holds at least, by name."""
    layout, g = equation.layout, c.generation
    state = len(layout.channels) * layout.grid.cells
    states = 0 if c.measurements is not None else g.simulations * (g.steps + 1)
    seen = (len(c.observation.train_sim) + len(c.observation.val_sim)) * (g.steps + 1)
    if c.compute.on_disk and c.measurements is None:
        together = min(g.chunk or g.simulations, g.simulations)
        held, one = len(c.observation.val_sim) + 2 * len(c.observation.test_sim), (g.steps + 1) * state * _NUMBER
        # What is made is gone before anything is trained or judged.
        return {
            "initial states": g.simulations * state * _NUMBER,
            "simulations made together, or of validation and tests": max(together, held) * one,
        }
    windows = len(c.observation.train_sim) * max(1, g.steps // c.hybrid.num_predict_steps)
    return {
        "trajectories": states * state * _NUMBER,
        "observations": seen * state * _OBSERVED,
        "rollouts of all training windows": windows * c.hybrid.num_predict_steps * state * _NUMBER,
    }


def _weights(config: NetworkConfig, equation: Equation) -> int:
    """Bytes of the weights of a large network; 0 of a small one, and of one from outside, which may do anything."""
    counts = [v for v in config.model_dump().values() if isinstance(v, int) and not isinstance(v, bool)]
    if config.name not in NETWORKS.built_in or math.prod(counts) * max(counts, default=1) < _FEW:
        return 0
    layout = equation.layout
    channels = len(layout.channels)
    with torch.device("meta"):  # shapes alone
        network = NETWORKS.load(config.name)(config, channels, channels, layout.boundaries)
    return sum(weight.numel() * weight.element_size() for weight in network.parameters())


def _in_training(section: SyntheticConfig, equation: Equation) -> int:
    """Bytes of a network that is trained, at least: weights, gradients, what the optimiser keeps, and the average."""
    copies = 2 + (2 if section.optimizer in ("adam", "adamw") else 0) + (section.ema_decay is not None)
    return copies * _weights(network_config(section.network), equation)


def mistakes(c: Configuration, equation: Equation) -> Iterator[Mistake]:
    """Of the grid, the simulations, the windows and the networks: what they take at least, without any rollout."""
    available = memory_bytes()
    if available is None:
        return
    for key, section in ((("synthetic",), c.synthetic), (("hybrid", "synthetic"), c.hybrid.synthetic)):
        if (weights := _in_training(section, equation)) > available:
            text = (
                f"its training needs at least {weights / 2**30:.3g} GB of memory for its weights, this machine has "
                f"{available / 2**30:.3g} GB: make it smaller"
            )
            yield (*key, "network"), text
            break  # the hybrid's has inherited its keys
    needed = sizes(c, equation)
    total = sum(needed.values())
    if total > available:
        parts = ", ".join(f"{size / 2**30:.3g} GB of {name}" for name, size in needed.items())
        hint = ", or generation.chunk" if c.compute.on_disk else ""
        if not c.compute.on_disk and c.measurements is None:
            hint = "; the data of a network alone may be larger than memory, see compute.on_disk"
        text = (
            f"the data need at least {total / 2**30:.3g} GB of memory ({parts}), this machine has "
            f"{available / 2**30:.3g} GB: lower equation.domain.*.resolution, generation.simulations or "
            f"generation.steps{hint}"
        )
        yield ("generation",), text
