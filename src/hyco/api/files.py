"""Folders of trained models: those that results save, and those that a run of the pipelines leaves.

A network is a file of safetensors, a physical model one of JSON, the history of a training another. In a folder of the
pipelines a model's name is a folder with a version for each run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from hyco.api.progress import History
from hyco.runtime.storage import (
    Bundle,
    DamagedFileError,
    read_bundle,
    read_json,
    serialised_json,
    write_atomically,
    write_bundle,
)

# The final models of each training, by method, and the file of each.
TRAININGS = {
    "hybrid": ("hybrid_synthetic", "hybrid_physical"),
    "physical": ("physical",),
    "synthetic": ("synthetic",),
}
_FILES = {
    "synthetic": "synthetic_model.safetensors",
    "physical": "physical_model.json",
    "hybrid_synthetic": "hybrid_synthetic_model.safetensors",
    "hybrid_physical": "hybrid_physical_model.json",
}
_COVARIANCE, _HISTORY = "covariance", "epochs"
_INITIAL_STATES = {
    "physical": "physical_initial_states.safetensors",
    "hybrid_physical": "hybrid_initial_states.safetensors",
}

# What a model is read from: its file, and the history of its training where that was saved with it.
Files = Mapping[str, Path]


def write_network(folder: Path, method: str, final: Bundle) -> None:
    """Write a network.

    Raises:
        ValueError: the folder is that of a run, whose versions stay as they are.
    """
    write_bundle(_writable(folder, _FILES[method]), final)


def write_physics(folder: Path, method: str, final: Mapping[str, Any], covariance: Tensor | None) -> None:
    """Write a physical model.

    Args:
        folder: where to.
        method: its name.
        final: its JSON values.
        covariance: of the coordinates; in a file of its own where it is too large for JSON.

    Raises:
        ValueError: see `write_network`.
    """
    path = _writable(folder, _FILES[method])
    beside = folder / f"{method}_{_COVARIANCE}.safetensors"
    if covariance is not None and final["covariance"] is None:
        write_bundle(beside, Bundle({_COVARIANCE: covariance}))
    else:
        beside.unlink(missing_ok=True)
    write_atomically(path, serialised_json(final))


def write_initial_states(folder: Path, method: str, states: Bundle | None) -> None:
    """Write the initial states beside a physical model.

    Raises:
        ValueError: see `write_network`.
    """
    path = _writable(folder, _INITIAL_STATES[method])
    if states is None:
        path.unlink(missing_ok=True)
    else:
        write_bundle(path, states)


def write_history(folder: Path, training: str, history: History) -> None:
    """Write what a training was like, epoch by epoch."""
    write_atomically(folder / f"{training}_history.json", serialised_json({_HISTORY: history}))


def read_network(path: Path) -> Bundle:
    """The network of a file.

    Raises:
        ValueError: it cannot be read.
    """
    return read_bundle(path)


def read_physics(path: Path, method: str) -> tuple[dict[str, Any], Tensor | None]:
    """The JSON values of a physical model, and its covariance where that has a file of its own.

    Raises:
        ValueError: it cannot be read.
    """
    beside = path.parent / f"{method}_{_COVARIANCE}.safetensors"
    covariance = read_bundle(beside).tensors[_COVARIANCE] if beside.exists() else None
    return read_json(path), covariance


def read_initial_states(path: Path, method: str) -> Bundle | None:
    """The initial states beside a physical model, None where an earlier version left none.

    Args:
        path: of the model: a file, or one of the versions that a run of the pipelines leaves.
        method: its name.

    Raises:
        ValueError: they cannot be read.
    """
    name = _INITIAL_STATES[method]
    versioned = path.parent.parent.name == path.name
    beside = path.parent.parent.parent / name / path.parent.name / name if versioned else path.parent / name
    return read_bundle(beside) if beside.is_file() else None


def read_history(folder: Path, training: str) -> History:
    """What `write_history` wrote; empty where there is nothing, as in a folder of the pipelines."""
    path = folder / f"{training}_history.json"
    if not path.exists():
        return []
    values = read_json(path, of_lists=_HISTORY)
    history: History = values.get(_HISTORY, values)
    if not isinstance(history, list):
        raise DamagedFileError(f"{path} cannot be read (it holds a dict instead of a list); remove it")
    return history


def trainings_in(folder: Path) -> list[str]:
    """The trainings of which all models are in a folder."""
    return [training for training, methods in TRAININGS.items() if _newest(folder, methods)]


def files_of(folder: Path, training: str) -> Files:
    """The file of each model of a training, by method: of the newest run of which there are all."""
    return _newest(folder, TRAININGS[training])


def _newest(folder: Path, methods: Sequence[str]) -> dict[str, Path]:
    """The files of the newest version that all methods have; empty where there is none."""
    versions = [_versions(folder / _FILES[method]) for method in methods]
    common = set(versions[0]).intersection(*versions)
    # Names of versions are times, which sort as text.
    return {m: v[max(common)] for m, v in zip(methods, versions, strict=True)} if common else {}


def _versions(path: Path) -> dict[str, Path]:
    """The files of a model by version; one that a result saved has the version ""."""
    if path.is_file():
        return {"": path}
    if not path.is_dir():
        return {}
    return {version.name: version / path.name for version in path.iterdir() if (version / path.name).is_file()}


def _writable(folder: Path, name: str) -> Path:
    path = folder / name
    if path.is_dir():
        raise ValueError(f"{folder} is the folder of a run, which keeps versions of {name}: save into another folder")
    return path
