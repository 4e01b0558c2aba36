"""The data of a comparison: simulations of each seed, or what was measured for all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation
from hyco.observations import ObservationConfig, Observations
from hyco.runtime.storage import Bundle
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.starts import observed


@dataclass(frozen=True)
class Data:
    """What a contender learns from and is judged by.

    Attributes:
        equation: that of the data; ranges that are `auto` stay open, and each fit finds its own.
        observations: what it learns from.
        config: how they were observed.
        trajectories: simulations `[S, T+1, C, *space]`; None where the data were measured.
    """

    equation: Equation
    observations: Observations
    config: ObservationConfig
    trajectories: Tensor | None


def data_of(sections: Mapping[str, Any], seed: int, measured: Bundle | None) -> Data:
    """The data of a seed, which are the same for all where they were measured.

    Args:
        sections: of a contender.
        seed: of simulations and noise.
        measured: observations that were measured; None: there are none.

    Raises:
        ValueError, FloatingPointError: they cannot be made; names the seed.
    """
    config = ObservationConfig.model_validate(sections["observation"])
    if measured is not None:
        return Data(build_equation(sections["equation"]), Observations.from_bundle(measured), config, None)
    try:
        equation, trajectories = _simulations(*(json.dumps(sections[key]) for key in ("equation", "generation")), seed)
        observations = observed(trajectories, config, seed, equation)
        return Data(equation, observations, config, trajectories.tensors["trajectories"])
    except (ValueError, FloatingPointError) as error:
        raise type(error)(f"the data of seed {seed}: {error}") from error


@lru_cache(maxsize=1)
def _simulations(equation: str, generation: str, seed: int) -> tuple[Equation, Bundle]:
    """The equation and its simulations, from JSON; those of one seed are kept for the methods that follow."""
    built = build_equation(json.loads(equation))
    return built, generate(built, GenerationConfig.model_validate(json.loads(generation)), seed)
