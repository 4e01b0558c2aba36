"""Pydantic's errors as lines: the file and key that they stand in, the value, and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hyco.config.errors import Key, Mistake
from hyco.config.resolution import RULED_BY_HYBRID
from hyco.parameters.space import KINDS

# Characters of a value, and of what a section says, in a message.
_LONGEST_VALUE, _LONGEST_MESSAGE = 160, 2000


def own_mistakes(error: ValidationError, root: type[BaseModel], parameters: Mapping[str, Any]) -> Iterator[Mistake]:
    """Pydantic's errors of all parameters as mistakes, where the user wrote what it complains about.

    Args:
        root: the model of all parameters.
        parameters: as they were given, before the hybrid's parts are resolved.
    """
    details = error.errors(include_url=False)
    keys = {tuple(d["loc"]) for d in details}
    for detail in details:
        key = _original(tuple(detail["loc"]), parameters, keys)
        if key is not None:
            yield key, explain(detail, key, root)


def explain(detail: ErrorDetails, key: Key, root: type[BaseModel] | None = None) -> str:
    """One mistake in one line: the value, and what is allowed.

    Args:
        key: of the value, without the names of a union's members.
        root: the model that the key begins in; with None the keys of its sections are not listed.
    """
    kind, context, value = detail["type"], detail.get("ctx") or {}, shortened(detail["input"])
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return f"unknown key (value {value}); allowed: {_allowed_keys(key, root)}"
    if kind == "literal_error":
        hint = "; an equation by formula has walls of every kind" if key[-1:] == ("boundary",) else ""
        return f"{value} is not allowed; allowed: {context['expected']}{hint}"
    if kind == "union_tag_invalid":
        key_word = context["discriminator"].strip("'_()")  # of a key, or of the function that reads it
        return f"{key_word} {shortened(context['tag'])} is not allowed; allowed: {context['expected_tags']}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"{value} is not allowed; allowed: keys with values"
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[: _LONGEST_MESSAGE // 2]} … {message[-_LONGEST_MESSAGE // 2 :]}"
    if kind == "value_error":
        return message
    return f"{value}: {message}"


def shortened(value: Any) -> str:
    """A value as Python writes it, with its middle left out where it is long."""
    if isinstance(value, int) and value.bit_length() > 200:  # Python refuses to write the longest
        return "a number of far too many digits"
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 20]} … {text[-16:]}"


def source(key: Key, sources: Mapping[str, Mapping[str, Any]]) -> str:
    """The last file that has the key, or as much of it as any file has."""
    best, depth = "parameters", 0
    for name, content in sources.items():
        reached, node = 0, content
        for part in key:
            try:
                node = node[part]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                break
            reached += 1
        if reached and reached >= depth:
            best, depth = name, reached
    return best


def _original(key: Key, parameters: Mapping[str, Any], all_keys: set[Key]) -> Key | None:
    """Where the user wrote what pydantic complains about; None for the echo of a mistake in a merged section."""
    filled = ("hybrid", "calibration_iterations")
    if key == filled and ("physical", "epochs") in all_keys and filled[1] not in parameters["hybrid"]:
        return None
    if len(key) > 2 and key[0] == "hybrid" and key[1] in ("synthetic", "physical"):
        ruled = key[2] in RULED_BY_HYBRID and ("hybrid", key[2]) in all_keys
        if ruled or key[1:] in all_keys:
            return None
    return tuple(p for i, p in enumerate(key) if not _is_union_tag(key, i))


def _is_union_tag(key: Key, index: int) -> bool:
    """Pydantic names the chosen member of a union in the key: observation.space.points.count."""
    if index == 2 and key[:2] == ("hybrid", "alpha"):
        return True
    if index == 2 and key[0] == "observation" and key[1] in ("space", "time"):
        return True
    return index >= 2 and key[index - 2] == "learnable_parameters" and key[index] in KINDS


def _allowed_keys(key: Key, root: type[BaseModel] | None) -> str:
    """The keys of the section that an unknown key stands in, the nearest first."""
    elsewhere = "see the reference of this section"
    model: Any = root
    for part in key[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return elsewhere
        model = field.annotation
    names = sorted(field.alias or name for name, field in getattr(model, "model_fields", {}).items())
    if not names:
        return elsewhere
    near = difflib.get_close_matches(str(key[-1]), names, n=1)
    return ", ".join(names) + (f" (did you mean {near[0]}?)" if near else "")
