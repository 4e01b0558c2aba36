"""Which lines a page draws itself, so that their values can be read off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hyco.report.chart import Chart, Series, chart

History = Sequence[Mapping[str, Any]]

# Numbers whose way over the epochs is drawn; of more, the figure has all.
_NUMBERS = 4


def error_chart(report: Mapping[str, Any], dt: float, unit: str) -> Chart | None:
    """The error of every method over the rollout; None of a static problem.

    Args:
        report: the content of report.json.
        dt: time between two steps.
        unit: of time.
    """
    errors = {method: entry["nrmse"] for method, entry in report["methods"].items()}
    count = max((len(error["per_step"]) for error in errors.values()), default=0)
    steps = next((error["steps"] for error in errors.values() if "steps" in error), range(1, count + 1))
    means = ", ".join(f"{method} {error['mean']:.3g}" for method, error in errors.items())
    return chart(
        [dt * step for step in steps],
        [Series(method, error["per_step"]) for method, error in errors.items()],
        x_name="t",
        x_unit=unit,
        y_label="nRMSE",
        caption="Error of every method over the rollout. Point at a time, or use the arrow keys, to read the values.",
        alt=f"Lines of the error against time. Means: {means}.",
    )


def estimate_charts(report: Mapping[str, Any], histories: Mapping[str, History]) -> Iterator[Chart]:
    """The estimates of the first few numbers over the epochs, with their 95 % intervals.

    Args:
        report: the content of report.json.
        histories: by training, the records of its live metrics.
    """
    trainings = {("hybrid_physical" if name == "hybrid" else name): records for name, records in histories.items()}
    found = {
        name: entry for entry in report["methods"].values() for name, entry in (entry.get("parameters") or {}).items()
    }
    for name in list(found)[:_NUMBERS]:
        lines, epochs = [], []
        for method, records in trainings.items():
            kept = [r for r in records if r["metrics"].get(f"estimate.{name}") is not None]
            if kept:
                columns = {
                    key: [record["metrics"].get(f"{key}.{name}") for record in kept]
                    for key in ("estimate", "lower", "upper")
                }
                lines.append(Series(method, columns["estimate"], columns["lower"], columns["upper"]))
                epochs.append([record["epoch"] for record in kept])
        if not lines or any(one != epochs[0] for one in epochs):
            continue
        unit = found[name].get("unit")
        drawn = chart(
            epochs[0],
            lines,
            x_name="epoch",
            y_label=f"{name} [{unit}]" if unit else name,
            caption=f"{name} over the epochs, with its 95 % interval. Point at an epoch to read the values.",
            alt=f"The estimate of {name} over the epochs, {epochs[0][0]} to {epochs[0][-1]}.",
            truth=found[name].get("true"),
        )
        if drawn is not None:
            yield drawn
