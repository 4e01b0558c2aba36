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

# Bytes of a derivative of an error by a weight.
_DERIVATIVE = 4
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


def _derivatives(c: Configuration, section: SyntheticConfig, steps: int, equation: Equation) -> tuple[int, int]:
    """Of a training by Levenberg-Marquardt: bytes of a batch's derivatives, at least, and by how many weights.

    Places between cells, and those of files, may be few: they are not counted.
    """
    config, layout = network_config(section.network), equation.layout
    known = c.measurements is None and c.observation.space.mode not in ("points", "samples", "moving")
    if section.optimizer != "levenberg_marquardt" or not known or config.name not in NETWORKS.built_in:
        return 0, 0
    if not config.few_weights or config.check(layout.shape, layout.boundaries) is not None:
        return 0, 0  # refused for that
    channels, spare = len(layout.channels), max(0, c.generation.steps - steps)
    with torch.device("meta"):
        network = NETWORKS.load(config.name)(config, channels, channels, layout.boundaries)
    weights = sum(weight.numel() for weight in network.parameters())
    windows = len(c.observation.train_sim) * (1 + (spare if section.use_sliding_window else spare // steps))
    errors = min(section.batch_size, windows) * steps * channels * layout.grid.cells
    return weights * errors * _DERIVATIVE, weights


def mistakes(c: Configuration, equation: Equation) -> Iterator[Mistake]:
    """Of the grid, the simulations, the windows and the networks: what they take at least, without any rollout."""
    available = memory_bytes()
    if available is None:
        return
    for key, section in ((("synthetic",), c.synthetic), (("hybrid", "synthetic"), c.hybrid.synthetic)):
        if (size := _in_training(section, equation)) > available:
            text = (
                f"its training needs at least {size / 2**30:.3g} GB of memory for its weights, this machine has "
                f"{available / 2**30:.3g} GB: make it smaller"
            )
            yield (*key, "network"), text
            break  # the hybrid's has inherited its keys
    for key, section, steps in (
        (("synthetic",), c.synthetic, c.synthetic.num_predict_steps),
        (("hybrid", "synthetic"), c.hybrid.synthetic, c.hybrid.num_predict_steps),
    ):
        held, weights = _derivatives(c, section, steps, equation)
        if held > available:
            text = (
                f"levenberg_marquardt holds the derivatives of a batch's errors by each of {weights} weights, at least "
                f"{held / 2**30:.3g} GB, and this machine has {available / 2**30:.3g} GB: lower batch_size, which "
                "changes no step by much, as it is that of all batches, or num_predict_steps; or take adam"
            )
            yield (*key, "batch_size"), text
            break
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
