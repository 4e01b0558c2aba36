"""Pydantic's problems as lines: the file and key that they stand in, the value, and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hyco.config.errors import Path, Problem
from hyco.config.resolution import RULED_BY_HYBRID
from hyco.parameters.space import KINDS


def own_problems(error: ValidationError, root: type[BaseModel], parameters: Mapping[str, Any]) -> Iterator[Problem]:
    """The problems that pydantic has with all parameters, where the user wrote what it complains about.

    Args:
        root: the model of all parameters.
        parameters: as they were given, before the hybrid's parts are resolved.
    """
    details = error.errors(include_url=False)
    paths = {tuple(d["loc"]) for d in details}
    for detail in details:
        path = _original(tuple(detail["loc"]), parameters, paths)
        if path is not None:
            yield path, explain(detail, path, root)


def explain(detail: ErrorDetails, path: Path, root: type[BaseModel] | None = None) -> str:
    """One problem in one line: the value, and what is allowed.

    Args:
        path: of the value, without the names of a union's members.
        root: the model that the path begins in; with None the keys of its sections are not listed.
    """
    kind, value, context = detail["type"], detail["input"], detail.get("ctx") or {}
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return f"unknown key (value {value!r}); allowed: {_allowed_keys(path, root)}"
    if kind == "literal_error":
        return f"{value!r} is not allowed; allowed: {context['expected']}"
    if kind == "union_tag_invalid":
        return f"mode {context['tag']!r} is not allowed; allowed: {context['expected_tags']}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"{value!r} is not allowed; allowed: keys with values"
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if kind == "value_error":
        return message
    return f"{value!r}: {message}"


def source(path: Path, sources: Mapping[str, Mapping[str, Any]]) -> str:
    """The last file that has the key, or as much of its path as any file has."""
    best, depth = "parameters", 0
    for name, content in sources.items():
        reached, node = 0, content
        for part in path:
            try:
                node = node[part]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                break
            reached += 1
        if reached and reached >= depth:
            best, depth = name, reached
    return best


def _original(path: Path, parameters: Mapping[str, Any], all_paths: set[Path]) -> Path | None:
    """Where the user wrote what pydantic complains about; None for the echo of a problem in a merged section."""
    filled = ("hybrid", "calibration_iterations")
    if path == filled and ("physical", "epochs") in all_paths and filled[1] not in parameters["hybrid"]:
        return None
    if len(path) > 2 and path[0] == "hybrid" and path[1] in ("synthetic", "physical"):
        ruled = path[2] in RULED_BY_HYBRID and ("hybrid", path[2]) in all_paths
        if ruled or path[1:] in all_paths:
            return None
    return tuple(p for i, p in enumerate(path) if not _is_union_tag(path, i))


def _is_union_tag(path: Path, index: int) -> bool:
    """Pydantic names the chosen member of a union in the path: observation.space.points.count."""
    if index == 2 and path[:2] == ("hybrid", "alpha"):
        return True
    if index == 2 and path[0] == "observation" and path[1] in ("space", "time"):
        return True
    return index >= 2 and path[index - 2] == "learnable_parameters" and path[index] in KINDS


def _allowed_keys(path: Path, root: type[BaseModel] | None) -> str:
    """The keys of the section that an unknown key stands in, the nearest first."""
    elsewhere = "see the reference of this section"
    model: Any = root
    for part in path[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return elsewhere
        model = field.annotation
    names = sorted(field.alias or name for name, field in getattr(model, "model_fields", {}).items())
    if not names:
        return elsewhere
    near = difflib.get_close_matches(str(path[-1]), names, n=1)
    return ", ".join(names) + (f" (did you mean {near[0]}?)" if near else "")
