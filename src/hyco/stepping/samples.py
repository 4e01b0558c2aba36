"""Which dimensions of what a step takes count the samples."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Samples:
    """What a rollout of some of the samples takes, and whether it gives what one of all of them does.

    Attributes:
        dims: by input of the step, which dimension counts the samples; None where all of them share it.
        apart: whether the step of a sample is the same whatever the others are; None: not tried yet.
    """

    dims: tuple[int | None, ...]
    apart: bool | None = None
