"""Dates that are written as text: `2024-05-31 13:00`, `31.05.2024 13:00`, `5/31/2024 1:00 PM`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

_WRITTEN = re.compile(
    r"\s*(?P<first>\d{1,2})(?P<mark>[./-])(?P<second>\d{1,2})(?P=mark)(?P<year>\d{4})"
    r"(?:[ T]+(?P<hour>\d{1,2}):(?P<rest>\d{2}(?::\d{2}(?:\.\d+)?)?)(?:\s*(?P<half>[ap])m)?)?\s*",
    re.IGNORECASE,
)


class AmbiguousDateError(ValueError):
    """No date is so that its day and its month can be told apart.

    Attributes:
        entries: the numbers of those that would need it.
    """

    def __init__(self, entries: Sequence[int]) -> None:
        super().__init__(*entries)
        self.entries = list(entries)


def dates_of(written: pd.Series[Any]) -> pd.Series[Any]:
    """Entries as dates in universal time, NaT where they are none.

    They are as ISO 8601 has them, or have the year last. Then the day is first where points stand between the numbers;
    with other marks the day is the number that is above 12 in some entry. A date without a time zone is taken for
    universal time.

    Raises:
        AmbiguousDateError: the year is last, and no number is above 12.
    """
    matches = [_WRITTEN.fullmatch(entry) if isinstance(entry, str) else None for entry in written]
    if not any(matches):
        is_text = written.map(lambda entry: isinstance(entry, str)).any()
        return pd.to_datetime(written, errors="coerce", utc=True, format="ISO8601" if is_text else None)
    unclear = {i: match for i, match in enumerate(matches) if match and match["mark"] != "."}
    month_first = any(int(match["second"]) > 12 for match in unclear.values())
    if unclear and not month_first and not any(int(match["first"]) > 12 for match in unclear.values()):
        raise AmbiguousDateError(sorted(unclear))
    pairs = zip(written, matches, strict=True)
    iso = [entry if match is None else _iso(match, month_first=month_first) for entry, match in pairs]
    return pd.to_datetime(pd.Series(iso, written.index, dtype=object), errors="coerce", utc=True, format="ISO8601")


def _iso(match: re.Match[str], *, month_first: bool) -> str:
    """A date as ISO 8601 has it."""
    day, month = match["first"], match["second"]
    if month_first and match["mark"] != ".":
        day, month = month, day
    hour = int(match["hour"] or 0)
    if match["half"]:
        # 12 AM is midnight, 12 PM noon; no other hour is above 12.
        hour = 24 if not 1 <= hour <= 12 else hour % 12 + 12 * (match["half"] in "pP")
    return f"{match['year']}-{month:0>2}-{day:0>2}T{hour:02d}:{match['rest'] or '00'}"
