"""Epochs, durations and numbers in words."""

from __future__ import annotations

from collections.abc import Mapping

Metrics = Mapping[str, float | None]

# Metric and its name for readers.
LOSSES = {"synthetic_loss": "network", "physical_loss": "physics"}
ERRORS = {"validation_synthetic": "network", "validation_physical": "physics"}
# Estimates that a line names; of more it says how many there are.
_MOST = 4


def duration(seconds: float) -> str:
    """A time span with two parts at most: `42 s`, `3 min 10 s`, `2 h 5 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes < 10 and rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def with_error(value: float, std: float | None) -> str:
    """An estimate with its standard deviation, both to the digits that the latter allows: `0.1007 ± 0.00098`."""
    if std is None or not std > 0:
        return f"{value:.5g}"
    deviation = f"{std:.2g}"
    places = decimals(std)
    if 0 <= places <= 8 and abs(value) < 1e7:
        rounded = round(value, places) + 0.0  # no negative zero
        return f"{rounded:.{places}f} ± {float(deviation):.{places}f}"
    return f"{value:.5g} ± {deviation}"


def decimals(std: float) -> int:
    """How many decimals a number has whose standard deviation is shown with two digits."""
    exponent = int(f"{std:.1e}".partition("e")[2])
    return max(0, 1 - exponent)


def estimate_words(metrics: Metrics) -> list[str]:
    """Every estimate ± std of an epoch's metrics, the first few of them."""
    names = [key.removeprefix("estimate.") for key, value in metrics.items() if key.startswith("estimate.")]
    known = [name for name in names if metrics[f"estimate.{name}"] is not None]
    words = []
    for name in known[:_MOST]:
        value = metrics[f"estimate.{name}"]
        assert value is not None  # left out above
        words.append(f"{name} {with_error(value, metrics.get(f'std.{name}'))}")
    if len(known) > _MOST:
        words.append(f"and {len(known) - _MOST} more")
    return words


def group_words(metrics: Metrics, group: Mapping[str, str]) -> str:
    """Some metrics by their names for readers: `network 0.0004, physics 1.2`; empty where there are none."""
    shown = [(label, metrics.get(key)) for key, label in group.items()]
    return ", ".join(f"{label} {value:.3g}" for label, value in shown if value is not None)


def memory_words(metrics: Metrics) -> str:
    """The largest memory of each phase, where it is monitored."""
    peaks = {k.removeprefix("peak_bytes."): v for k, v in metrics.items() if k.startswith("peak_bytes.")}
    return ", ".join(f"{phase} {value / 2**20:.0f} MiB" for phase, value in peaks.items() if value is not None)


def epoch_words(metrics: Metrics) -> str:
    """An epoch in one line: losses, every estimate ± std, errors on what is held out, memory where it is monitored."""
    parts = []
    if losses := group_words(metrics, LOSSES):
        parts.append(f"loss of {losses}")
    parts += [", ".join(words)] if (words := estimate_words(metrics)) else []
    if errors := group_words(metrics, ERRORS):
        parts.append(f"held-out error of {errors}")
    if memory := memory_words(metrics):
        parts.append(f"peak memory in {memory}")
    return "; ".join(parts)
