"""Tables with a column for each sensor: which columns are of one field, and where their sensors are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# A minus is a sign where nothing, or what parts words, stands before it: `T -5`, but not `T-5`.
_NUMBER = re.compile(r"(?:(?:^|(?<=[\s_@=(\[{]))-)?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Sensors:
    """Fields that were measured at the same places.

    Attributes:
        columns: by field, one for each place.
        places: the numbers in the names of the columns.
        elsewhere: fields that were measured at other places.
    """

    columns: dict[str, tuple[str, ...]]
    places: tuple[float, ...]
    elsewhere: tuple[str, ...]


def sensors_of(names: Sequence[str]) -> Sensors | None:
    """Columns whose names differ in a number alone, as `T_5cm` and `T_10cm`, and others with the same numbers.

    None where no field has two.
    """
    groups: dict[tuple[str, str], dict[float, str]] = {}
    for name in names:
        if len(found := list(_NUMBER.finditer(name))) == 1:
            key = name[: found[0].start()], name[found[0].end() :]
            groups.setdefault(key, {})[float(found[0][0])] = name
    groups = {key: group for key, group in groups.items() if len(group) > 1}
    if not groups:
        return None
    labelled: dict[str, dict[float, str]] = {}
    for (before, after), group in groups.items():
        label = before.strip(" _-@=[({") or after.strip(" _-])}") or "value"
        labelled[label if label not in labelled else before + after] = group
    most: dict[float, str] = max(labelled.values(), key=len)
    places = tuple(most)
    same = {label: group for label, group in labelled.items() if group.keys() == set(places)}
    elsewhere = tuple(label for label in labelled if label not in same)
    return Sensors({label: tuple(group[p] for p in places) for label, group in same.items()}, places, elsewhere)
