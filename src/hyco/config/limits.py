"""What no parameter may be, whatever section it stands in: not finite, far too large or too long, a bool for a number.

Checked before the sections themselves, which would compute with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from hyco.config.errors import Key, Mistake
from hyco.measurements.config import LONGEST

# Largest values of keys, wherever they stand; as large as anybody may want, as small as a machine may bear.
LARGEST: Mapping[str, float] = {
    "amplitude": 1e12,
    "batch_size": 10**6,
    "blocks": 256,
    "count": 10**7,
    "dt": 1e12,
    "epochs": 10**7,
    "filters": 8192,
    "ghost_points": 10**7,
    "input_noise": 1e3,
    "layers": 256,
    "learning_rate": 1e3,
    "levels": 12,
    "modes": 4096,
    "noise": 1e6,
    "num_predict_steps": 10**6,
    "points_per_update": 10**7,
    "resolution": 10**5,
    "simulations": 10**6,
    "size": 1e15,
    "steps": LONGEST,
    "substeps": 10**6,
    "threads": 1024,
    "tries": 100,
    "updates_per_epoch": 10**6,
    "weight_decay": 1e6,
    "width": 65536,
    "workers": 256,
}
# Of every other number, and of the length of texts and names. Single precision ends at 3e38.
_LARGEST, _LARGEST_WHOLE = 1e30, 2**63 - 1
# Of a number that is not 0: the inverse of its square and of the square of that are numbers still.
_SMALLEST = 1e-50
_LONGEST_TEXT, _LONGEST_NAME = 10_000, 100
_NAMES = ("experiment", "name")
# How deep sections may lie in each other, and how long a list is that was read from a file, such as a wall's series.
_DEEPEST, _LONG = 30, 1000


def beyond_limits(parameters: Mapping[str, Any]) -> list[Mistake]:
    """Every value that no section may have, with its key; only the first of those that lie too deep."""
    mistakes: list[Mistake] = []
    for key, value in _leaves(parameters, ()):
        if len(key) > _DEEPEST:
            return [(key[:3], f"sections lie more than {_DEEPEST} deep in each other")]
        if (text := _mistake(key, value)) is not None:
            mistakes.append((key, text))
    return mistakes


def _mistake(key: Key, value: Any) -> str | None:
    name = next((str(part) for part in reversed(key) if isinstance(part, str)), "")
    if not all(_is_text(str(part)) for part in key):
        return "a key has a character that is none"
    if any(len(str(part)) > _LONGEST_NAME for part in key):
        return f"a key has more than {_LONGEST_NAME} characters"
    if isinstance(value, str):
        if not _is_text(value):
            return f"{value!r:.80} is not allowed; allowed: characters of Unicode but the one of number 0"
        longest = _LONGEST_NAME if name in _NAMES else _LONGEST_TEXT
        return f"it has {len(value)} characters; allowed: up to {longest}" if len(value) > longest else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value!r} is not allowed; allowed: finite numbers"
    if 0 < abs(value) < _SMALLEST:
        return f"{value:.6g} is too small; allowed: 0, or from {_SMALLEST:g}"
    general = _LARGEST_WHOLE if isinstance(value, int) else _LARGEST
    # Parameters of an equation by formula have names of the user's.
    largest = general if "parameters" in key else LARGEST.get(name, general)
    if not -largest <= value <= largest:
        shown = f"{value:.6g}" if isinstance(value, float) else f"a number of {len(_digits(value))} digits"
        return f"{shown} is too large; allowed: up to {largest:g}"
    return None


def _is_text(value: str) -> bool:
    """Whether a text may stand in a file, and name one: halves of surrogates and the character 0 may not."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _digits(value: int) -> str:
    """Roughly: Python refuses to write numbers of thousands of digits."""
    return "9" * max(1, math.ceil(abs(value).bit_length() * math.log10(2)))


def _leaves(value: Any, key: Key) -> Iterator[tuple[Key, Any]]:
    """All values that are no section and no list, with their keys; of what lies too deep, the first."""
    if isinstance(value, list) and len(value) > _LONG and all(isinstance(item, float) for item in value):
        return
    if isinstance(value, Mapping | list) and len(key) <= _DEEPEST:
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for part, inner in items:
            yield from _leaves(inner, (*key, part if isinstance(part, str | int) else str(part)))
    else:
        yield key, value


def bools_for_numbers(given: Any, built: Any, key: Key = ()) -> Iterator[Mistake]:
    """Where the configuration has true or false for what its model has read as a number: 1 or 0 was hardly meant.

    Args:
        given: parameters, or a part of them.
        built: the model that was made of them.
        key: of both.
    """
    if isinstance(given, bool):
        if isinstance(built, int | float) and not isinstance(built, bool):
            yield key, f"{str(given).lower()} is not allowed; allowed: a number"
    elif isinstance(given, Mapping):
        for name, value in given.items():
            yield from bools_for_numbers(value, _part(built, name), (*key, name))
    elif isinstance(given, list) and isinstance(built, list | tuple) and len(given) == len(built):
        for i, (value, read) in enumerate(zip(given, built, strict=True)):
            yield from bools_for_numbers(value, read, (*key, i))


def _part(built: Any, name: Any) -> Any:
    if isinstance(built, Mapping):
        return built.get(name)
    if not isinstance(built, BaseModel):
        return None
    aliases = {field.alias: own for own, field in type(built).model_fields.items() if field.alias}
    return getattr(built, aliases.get(name, str(name)), None)
