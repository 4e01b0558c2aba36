"""Numbers that are written as text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def blank_to_missing(value: object) -> object:
    """None for a text of nothing but spaces; bytes as text."""
    value = value.decode(errors="replace") if isinstance(value, bytes) else value
    return None if isinstance(value, str) and not value.strip() else value


def converted(distinct: pd.Series[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Texts as numbers, NaN where they are missing or none; and which are none."""
    numbers = pd.to_numeric(distinct, errors="coerce")
    return numbers.to_numpy(dtype=np.float64), np.flatnonzero((numbers.isna() & distinct.notna()).to_numpy())


def refusal(text: object, wanted: str) -> str:
    """That a text is not what was wanted, and perhaps why."""
    return f"{text!r} is {wanted}" + ("; decimals need a point" if with_comma(str(text)) else "")


def with_comma(text: str) -> bool:
    """Whether a text is a number with a comma for the point."""
    head, comma, tail = text.strip().partition(",")
    return bool(comma) and head.lstrip("+-").isdigit() and tail.isdigit()
