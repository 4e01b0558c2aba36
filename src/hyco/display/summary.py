"""What came of a run, for the terminal: estimates, errors by method, and what to worry about."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hyco.display.words import ERRORS, decimals, duration, with_error
from hyco.runtime.words import percent

# Names of the methods for readers.
METHODS = {
    "persistence": "persistence",
    "synthetic": "network alone",
    "physical": "physics alone",
    "hybrid_synthetic": "hybrid: network",
    "hybrid_physical": "hybrid: physics",
}
# What measured errors are of.
_JUDGES = {
    "holdout": "what was held back of the measurements",
    "training": "the measurements of the training themselves",
}
_WIDTH = 118
_LEAST_PULL = 0.005
# Rows of estimates that are shown; the report has all.
_MOST = 12


def summary(report: Mapping[str, Any], *, errors: Mapping[str, Mapping[str, float | None]] | None = None) -> list[str]:
    """Lines to be read.

    Args:
        report: the content of report.json, or of a training alone `methods`, by name with `parameters`, and `warnings`.
        errors: of trainings that are not evaluated, the metrics of their last validation.
    """
    lines = list(_estimates(report["methods"]))
    lines += _errors(report)
    lines += _validation(errors or {})
    lines += _worries(report.get("warnings"))
    return lines


def estimate_rows(methods: Mapping[str, Mapping[str, Any]], most: int = _MOST) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of estimates, `most` of them.

    Args:
        methods: of the report.
        most: rows.
    """
    learnt = [(m, name, p) for m, entry in methods.items() for name, p in (entry.get("parameters") or {}).items()]
    true = any(p.get("true") is not None for _, _, p in learnt)
    head = ["Estimate", "by", "value ± std", "95 % interval", "unit", "determined", "pull"] + ["truth"] * true
    rows = []
    for method, name, p in learnt[:most]:
        if p.get("estimate") is None:
            error = p.get("relative_error")
            value = "a field" if error is None else f"a field, {percent(error)} off"
        else:
            value = with_error(p["estimate"], p.get("std"))
        row = [name, METHODS.get(method, method), value, _interval(p), p.get("unit") or "–"]
        row += [determined(p), _pull(p.get("pull"))]
        rows.append(row + ([_plain(p.get("true"), ".5g")] if true else []))
    return head, rows


def error_rows(methods: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of errors, one for each method.

    Against measurements the error is that of all times at once: the mean over times would be ruled by those at which
    hardly anything was there to measure.

    Args:
        methods: of the report.
    """
    measured = any("overall" in entry["nrmse"] for entry in methods.values())
    chis = {method: (entry.get("heldout") or {}).get("chi_square") for method, entry in methods.items()}
    known = any(chi is not None for chi in chis.values())
    head = ["method", "all times" if measured else "mean", "at the end", *["χ²"] * known, "trained in"]
    rows = []
    for method, entry in methods.items():
        nrmse, seconds, chi = entry["nrmse"], entry.get("training_seconds"), chis[method]
        row = [
            METHODS.get(method, method),
            f"{nrmse.get('overall', nrmse['mean']):.3g}",
            f"{nrmse['per_step'][-1]:.3g}",
        ]
        row += ["–" if chi is None else f"{chi:.3g}"] * known
        rows.append([*row, "–" if seconds is None else duration(seconds)])
    return head, rows


def errors_are_of(report: Mapping[str, Any]) -> str:
    """What the errors of a report of measurements are of."""
    return _JUDGES.get(report.get("judges", ""), "measured trajectories that no model has seen")


def determined(entry: Mapping[str, Any]) -> str:
    """Whether the data determine a parameter, and tell it from what the equation lacks."""
    if not entry.get("identifiable"):
        return "NO"
    return "not separable" if entry.get("separable") is False else "yes"


def _estimates(methods: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    head, rows = estimate_rows(methods)
    if not rows:
        return
    yield from _table(head, rows)
    count = sum(len(entry.get("parameters") or {}) for entry in methods.values())
    if count > len(rows):
        yield f"  … and {count - len(rows)} more"


def _interval(entry: Mapping[str, Any]) -> str:
    interval = entry.get("interval")
    if interval is None:
        return "–"
    low, high = interval
    places = decimals(max(high - low, 1e-300) / 4)
    return f"{low:.{places}f} to {high:.{places}f}" if places <= 8 and abs(high) < 1e7 else f"{low:.4g} to {high:.4g}"


def _errors(report: Mapping[str, Any]) -> Iterator[str]:
    judged = {m: entry for m, entry in report["methods"].items() if entry.get("nrmse")}
    if not judged:
        return
    head, rows = error_rows(judged)
    head[0] = "Error (nRMSE)"
    steps = max(len(entry["nrmse"]["per_step"]) for entry in judged.values())
    yield from _table(head, rows)
    if steps > 1:
        of = "test simulations that no model has seen"
        if report.get("measured"):
            of = errors_are_of(report)
        how = f"χ² per measurement, 1 for the noise alone; {steps} times" if "χ²" in head else f"{steps} times"
        yield f"  of {of}; {how if report.get('measured') else f'mean over {steps} steps'}"


def _validation(errors: Mapping[str, Mapping[str, float | None]]) -> Iterator[str]:
    rows = [
        [f"{training}: {label}", f"{value:.3g}"]
        for training, metrics in errors.items()
        for key, label in ERRORS.items()
        if (value := metrics.get(key)) is not None
    ]
    if rows:
        yield from _table(["Held-out error", "last"], rows)


def _worries(warnings: Sequence[str] | None) -> Iterator[str]:
    if warnings is None:
        return
    if not warnings:
        yield "Nothing to worry about: no misfit, no pull, all determined."
        return
    yield "What to worry about"
    for words in warnings:
        yield from textwrap.wrap(words, _WIDTH, initial_indent="  • ", subsequent_indent="    ")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        yield f"  {cells}"


def _pull(value: float | None) -> str:
    """Standard deviations; what is next to nothing is nothing."""
    return "–" if value is None else f"{value:.2g}" if value >= _LEAST_PULL else "0"


def _plain(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
