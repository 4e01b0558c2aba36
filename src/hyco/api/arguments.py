"""Arguments that cannot be meant, refused where they are given, in one line that says what they should be."""

from __future__ import annotations

from typing import Any

import numpy as np


def require(value: Any, kind: type, name: str, source: str) -> None:
    """Refuse an argument of another type.

    Args:
        value: of the argument.
        kind: the type that it must have.
        name: of the argument.
        source: where such a value comes from.

    Raises:
        TypeError: it has another type.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected a hyco.{kind.__name__} from {source}, got {type(value).__name__}")


def whole_seed(seed: Any) -> int:
    """A seed as a number of Python.

    Raises:
        ValueError: it is no whole number from 0 on.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed: expected a whole number from 0 on, got {seed!r}")
    return int(seed)
