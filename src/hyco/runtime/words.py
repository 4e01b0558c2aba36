"""Numbers in words, for what needs no arrays."""

from __future__ import annotations


def percent(share: float) -> str:
    """A share with two digits: `1.6 %`, `130 %`."""
    return f"{float(f'{100 * share:.2g}'):g} %"
