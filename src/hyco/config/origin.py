"""Where data come from: a user's own, or simulations of a configuration, which must be the present one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from hyco.config.errors import ConfigurationError
from hyco.config.resolution import WITHOUT_EFFECT, resolve_hybrid
from hyco.equations.registry import equation_config
from hyco.measurements.config import MeasurementsConfig
from hyco.runtime.storage import Bundle, digest
from hyco.stepping.generation import GenerationConfig
from hyco.training.checkpoints import OBSERVATIONS, differences


def is_own(metadata: Mapping[str, Any]) -> bool:
    """Whether trajectories or observations are files of a user's: those that the pipelines make have an `origin`."""
    return "origin" not in metadata


def is_measured(metadata: Mapping[str, Any]) -> bool:
    """Whether trajectories or observations were measured: files of a user's, or made of such."""
    return is_own(metadata) or bool(metadata["origin"].get("measurements"))


def identity(observations: Bundle) -> dict[str, Any]:
    """What a checkpoint knows of the observations that it is of: a digest and, of a file, the section that read it.

    Where the file lies makes no difference.
    """
    section = (observations.metadata.get("origin") or {}).get("measurements")
    return {OBSERVATIONS: digest(observations), **identity_of_section(section)}


def identity_of_section(measurements: Mapping[str, Any] | None) -> dict[str, Any]:
    """The part of `identity` that the section `measurements` says; nothing where there is none."""
    if not measurements:
        return {}
    read = MeasurementsConfig.model_validate(measurements).model_dump(mode="json", exclude={"file", "format"})
    return {"measurements": read}


def depends_on(training: str, sections: Mapping[str, Any], observed: Mapping[str, Any]) -> dict[str, Any]:
    """All that the result of a training depends on: what its checkpoints are compared with when it is resumed.

    Args:
        training: "synthetic", "physical" or "hybrid".
        sections: the parameters, valid; of the trainings at least its own, of a hybrid all three.
        observed: the `identity` of the observations.
    """
    own = sections[training]
    if training == "hybrid":
        resolved = resolve_hybrid(own, sections["synthetic"], sections["physical"])
        own = {key: value for key, value in resolved.items() if key not in WITHOUT_EFFECT}
    shared = {key: sections[key] for key in ("equation", "generation", "observation")}
    return {**shared, **observed, training: own, "seed": sections["seed"]}


def check_origin(metadata: Mapping[str, Any], sections: Mapping[str, Any]) -> None:
    """Refuse simulations that were not made with these sections: a report would state other truths than theirs.

    Args:
        metadata: of the trajectories; what was measured has no origin to check.

    Raises:
        ConfigurationError: names each key that differs, with both values.
    """
    if is_measured(metadata):
        return
    then, now = (json.loads(json.dumps(given)) for given in (metadata["origin"], sections))  # as files have them
    with suppress(ValueError):  # an earlier version had other keys: then what is written counts
        then, now = _complete(then), _complete(now)
    changed = [f"{key}: {old!r} there, {new!r} now" for key, old, new in differences(then, now)]
    if changed:
        raise ConfigurationError(
            f"the simulations are of another configuration ({'; '.join(changed)}). Evaluate with its values, or run "
            "the training too."
        )


def _complete(origin: Mapping[str, Any]) -> dict[str, Any]:
    """The origin of simulations, with the default of every key that is left out."""
    models = {
        "equation": equation_config(origin["equation"]),
        "generation": GenerationConfig.model_validate(origin["generation"]),
    }
    return {**origin, **{name: model.model_dump(mode="json") for name, model in models.items()}}
