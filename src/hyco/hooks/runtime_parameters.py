"""Parameters of the command line, laid over those of the files.

Kedro's merge does not know that an entry of a list has a number, nor that a section of another kind replaces the one of
the files: `--params physical.learnable_parameters.0.initial_guess=0.2`, `--params observation.time.mode=full`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hyco.hooks.parameter_files import OF_ENVIRONMENT

if TYPE_CHECKING:
    from kedro.config import OmegaConfigLoader

Path = tuple[str, ...]
# Keys that are numbers of entries; there is none below 0, which is said where it is put.
_ENTRY = re.compile(r"-?[0-9]+")
# Keys that say of which kind a section is.
_KINDS = ("mode", "name")


def with_runtime_parameters(loader: OmegaConfigLoader) -> dict[str, Any]:
    """The parameters of all files, and of the command line over them.

    Raises:
        ConfigurationError: an entry of a list that is not there, or a value from the environment.
    """
    given = loader.runtime_params or {}
    _require_written(given)
    plain, entries = _without_entries(given)
    chosen = [(path, section) for path, section in _sections(plain) if any(kind in section for kind in _KINDS)]
    try:
        loader.runtime_params = plain
        parameters: dict[str, Any] = copy.deepcopy(loader["parameters"])
        if chosen:
            loader.runtime_params = {}
            files: dict[str, Any] = loader["parameters"]
            for path, section in chosen:
                _replace(parameters, files, path, section)
    finally:
        loader.runtime_params = given
    for path, value in entries:
        _set(parameters, path, value)
    return parameters


def _require_written(given: Mapping[str, Any]) -> None:
    """Refuse values that stand for variables of the environment.

    Raises:
        ConfigurationError: there is one.
    """
    from hyco.config import ConfigurationError

    for path, value in _leaves(given, ()):
        if OF_ENVIRONMENT.search(str(value)):
            raise ConfigurationError(
                f"--params {'.'.join(path)}: variables of the environment (${{oc.env:…}}) are not read: write the value"
            )


def _without_entries(given: Mapping[str, Any], path: Path = ()) -> tuple[dict[str, Any], list[tuple[Path, Any]]]:
    """What is given without the entries of lists, and these: path and value of each."""
    plain: dict[str, Any] = {}
    entries: list[tuple[Path, Any]] = []
    for key, value in given.items():
        where = (*path, str(key))
        if _ENTRY.fullmatch(str(key)):
            entries += _leaves(value, where)
        elif isinstance(value, Mapping):
            inner, more = _without_entries(value, where)
            entries += more
            if inner or not more:
                plain[key] = inner
        else:
            plain[key] = value
    return plain, entries


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    else:
        yield path, value


def _sections(given: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """All mappings below the top."""
    for key, value in given.items():
        if isinstance(value, Mapping):
            yield (*path, str(key)), value
            yield from _sections(value, (*path, str(key)))


def _replace(parameters: dict[str, Any], files: Mapping[str, Any], path: Path, section: Mapping[str, Any]) -> None:
    """Leave of a section only what the command line says, where it makes another kind of it."""
    there: Any = files
    for key in path:
        there = there.get(key) if isinstance(there, Mapping) else None
    if not isinstance(there, Mapping) or len(path) < 2:
        return
    if any(kind in section and kind in there and section[kind] != there[kind] for kind in _KINDS):
        _set(parameters, path, dict(section))


def _set(parameters: dict[str, Any], path: Path, value: Any) -> None:
    """Put a value at a path of keys and numbers of entries.

    Raises:
        ConfigurationError: there is no such entry.
    """
    from hyco.config import ConfigurationError

    node: Any = parameters
    for i, key in enumerate(path):
        last = i == len(path) - 1
        where = ".".join(path[: i + 1])
        if isinstance(node, list):
            if not _ENTRY.fullmatch(key) or not 0 <= int(key) < len(node):
                raise ConfigurationError(f"--params {where}: there is no such entry; there are 0 to {len(node) - 1}")
            index: Any = int(key)
        elif isinstance(node, dict):
            if _ENTRY.fullmatch(key) and key not in node:
                raise ConfigurationError(f"--params {where}: {'.'.join(path[:i])} is no list")
            index = key
            if not last:
                node.setdefault(key, {})
        else:
            raise ConfigurationError(f"--params {where}: {'.'.join(path[:i])} is a value, it has no keys")
        if last:
            node[index] = value
        else:
            node = node[index]
