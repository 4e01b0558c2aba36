"""The page of a run: one file of HTML with everything in it, to be read, printed and sent on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import yaml

from hyco.display.introduction import problem_words
from hyco.display.summary import METHODS, error_rows, errors_are_of, estimate_rows
from hyco.display.words import with_error
from hyco.report.page_charts import History, error_chart, estimate_charts
from hyco.report.page_figures import pictures
from hyco.report.page_parts import (
    Section,
    Table,
    data_address,
    formula_pictures,
    frame_files,
    rendered,
    versions,
)

# Estimates in large letters.
_HEADLINES = 3


@dataclass(frozen=True)
class Run:
    """What a page tells of a run beside its report, in plain numbers and words: any process can write it.

    Attributes:
        configuration: all parameters, after all overrides.
        dt: time between two steps.
        formulas: the equation in LaTeX, by lines.
        statement: the equation in letters.
        problem, data: what there is to say of the problem and of what was measured, each with its name.
        figures: by name PNG files; None where there was nothing to show.
        animation: `{"frames": uint8 [N, height, width, 3], "fps": float}`; None: there is none.
        profile: the content of profile.json.
        command: that started the run; empty where it was none.
        digest: of the observations.
        units: of `time`, the axes and the channels, as far as they are known.
        histories: by training, the records of its live metrics.
    """

    configuration: Mapping[str, Any]
    dt: float
    formulas: Sequence[str]
    statement: str
    problem: Sequence[tuple[str, str]]
    data: Sequence[tuple[str, str]]
    figures: Mapping[str, bytes | None]
    animation: Mapping[str, Any] | None
    profile: Mapping[str, Any]
    command: str
    digest: str
    units: Mapping[str, str]
    histories: Mapping[str, History] = field(default_factory=dict)


def report_page(report: Mapping[str, Any], run: Run) -> str:
    """The page.

    Args:
        report: the content of report.json.
        run: what else there is.
    """
    errors = error_chart(report, run.dt, run.units.get("time", ""))
    # What the page draws itself need not be there twice.
    found = pictures(
        {name: None if errors and name == "rollout_error" else f for name, f in run.figures.items()}, report
    )
    history = list(estimate_charts(report, run.histories))
    sections = [
        # Below "What was measured".
        Section("", "", figures=found["data"]),
        Section(
            "estimates",
            "Estimates and what the data determine",
            list(_determined(report)),
            found["estimates"],
            charts=history,
        ),
        Section(
            "predictions",
            "Predictions",
            list(_predicted(report)),
            found["predictions"],
            charts=[errors] if errors else [],
        ),
        Section("residuals", "What the physics leaves of the data", _residual_words(report), found["residuals"]),
        Section("training", "Training and cost", [], found["training"], [_cost(report, run.profile)]),
    ]
    kept = [s for s in sections if s.figures or s.charts or s.tables or s.words]
    return rendered(
        "report.html",
        {
            "title": report["experiment"],
            "subtitle": problem_words(run.configuration),
            "headlines": list(_headlines(report)),
            "contents": [("result", "Result"), ("problem", "The problem"), ("data", "What was measured")]
            + [(s.id, s.name) for s in kept if s.id]
            + [("repeat", "How to repeat it")],
            "warnings": report.get("warnings", []),
            "tables": list(_tables(report)),
            "formulas": formula_pictures(run.formulas, run.statement),
            "statement": run.statement,
            "problem": list(run.problem),
            "data": list(run.data),
            "sections": kept,
            "animation": _animation(run.animation, measured=bool(report.get("measured"))),
            "commands": commands(run.command, report["experiment"]),
            "provenance": [("data digest", run.digest), ("seed", str(report["seed"])), *versions()],
            "configuration": configuration_text(run.configuration),
        },
    )


def configuration_text(configuration: Mapping[str, Any]) -> str:
    """The parameters as a file of YAML."""
    return yaml.safe_dump(dict(configuration), sort_keys=False, allow_unicode=True)


def commands(command: str, experiment: str) -> list[str]:
    """What repeats a run, goes on from it, and looks at it."""
    lines, env = [command] if command else [], _environment(command)
    options = f" --env {env}" if env else ""
    options += f" --params experiment={experiment}" if experiment != env else ""
    return [*lines, f"hyco --pipelines predict{options}   # beyond the data", "make mlflow"]


def _environment(command: str) -> str | None:
    """The folder of conf/ that a command names; None: the default one."""
    for word, following in pairwise([*shlex.split(command), ""]):
        if word in ("--env", "-e"):
            return following
        if word.startswith("--env="):
            return word.removeprefix("--env=")
    return None


def _headlines(report: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """The estimates in large letters, the first few."""
    for method in ("hybrid_physical", "physical"):
        entries = (report["methods"].get(method) or {}).get("parameters") or {}
        numbers = {name: p for name, p in entries.items() if p.get("estimate") is not None}
        if not numbers:
            continue
        if len(numbers) > _HEADLINES:
            sure = sum(bool(p["identifiable"]) for p in numbers.values())
            yield {
                "value": f"{sure} of {len(numbers)} numbers",
                "rest": f"are determined by the data ({METHODS[method]})",
            }
            return
        for name, p in numbers.items():
            determined = "determined by the data" if p["identifiable"] else "not determined by the data"
            if p.get("separable") is False:
                determined = "not separable from what the equation lacks"
            interval = p.get("interval")
            between = "" if interval is None else f"95 % interval {interval[0]:.4g} to {interval[1]:.4g}, "
            value = with_error(p["estimate"], p.get("std"))
            unit = f" {p['unit']}" if p.get("unit") else ""
            yield {"value": f"{name} = {value}{unit}", "rest": f"({between}{determined}; {METHODS[method]})"}
        return


def _tables(report: Mapping[str, Any]) -> Iterator[Table]:
    head, rows = estimate_rows(report["methods"], most=200)
    if rows:
        words = [["no" if cell == "NO" else cell for cell in row] for row in rows]
        yield Table("Estimates: the standard deviation is the noise's alone, the interval is the whole", head, words)
    of = errors_are_of(report) if report.get("measured") else "test simulations"
    head, rows = error_rows(report["methods"])
    when = "over all times" if report.get("measured") else "mean over time"
    chi = "; χ² per measurement is 1 for the noise alone" if "χ²" in head else ""
    errors = f"Errors: normalised root mean square (nRMSE) of {of}"
    yield Table(f"{errors}, {when} and at the last time{chi}", head, rows)


def _determined(report: Mapping[str, Any]) -> Iterator[str]:
    for method, entry in report["methods"].items():
        parameters = entry.get("parameters") or {}
        if not parameters:
            continue
        yes = [name for name, p in parameters.items() if p.get("identifiable")]
        no = [name for name in parameters if name not in yes]
        words = f"{METHODS.get(method, method)}: "
        words += f"the data determine {', '.join(yes)}. " if yes else ""
        words += f"They do not determine {', '.join(no)}." if no else ""
        yield words.strip()
        weak = entry.get("undetermined") or []
        if weak:
            yield "Combinations that they do not determine: " + "; ".join(str(one) for one in weak[:6]) + "."


def _predicted(report: Mapping[str, Any]) -> Iterator[str]:
    # As in the table: of measurements over all times at once.
    errors = {m: e["nrmse"].get("overall", e["nrmse"]["mean"]) for m, e in report["methods"].items()}
    still = errors.pop("persistence", None)
    if not errors:
        return
    best = min(errors, key=lambda method: errors[method])
    when = "over all times" if "overall" in report["methods"][best]["nrmse"] else "in the mean"
    words = f"The smallest error has {METHODS.get(best, best)}: {errors[best]:.3g} {when}."
    if still is not None:
        words += f" Persistence, that nothing changes, has {still:.3g}."
    yield words


def _residual_words(report: Mapping[str, Any]) -> list[str]:
    lines = []
    for method, entry in report["methods"].items():
        if (chi := entry.get("reduced_chi_square")) is None:
            continue
        words = f"reduced χ² {chi:.3g}; it is about 1 where model and noise fit."
        if entry.get("degrees_of_freedom") is not None:  # then χ² is in units of 10⁻³ of that
            words = f"noise of {1e-3 * chi**0.5:.3g} times each channel's standard deviation, told by the residuals."
        lines.append(f"{METHODS.get(method, method)}: {words}")
    return lines


def _cost(report: Mapping[str, Any], profile: Mapping[str, Any]) -> Table:
    rows = []
    for training, entry in profile.get("trainings", {}).items():
        for phase in entry["phases"]:
            rows.append([training, phase["name"], f"{phase['seconds']:.2f} s", f"{100 * phase['share']:.0f} %"])
    peak = report["cost"]["peak_rss_bytes"] / 2**20
    return Table(
        f"Where the time of the training went; memory at most {peak:.0f} MiB",
        ["training", "phase", "time", "share"],
        rows,
    )


def _animation(animation: Mapping[str, Any] | None, *, measured: bool) -> dict[str, Any] | None:
    """What the page plays; None where nothing moves."""
    if animation is None or len(animation["frames"]) < 2:
        return None
    frames = np.asarray(animation["frames"], dtype=np.uint8)
    kind, files = frame_files(frames)
    shown = "Truth and predictions of one test simulation over time"
    if measured:
        shown = "Measurements and predictions of one trajectory over time"
    return {
        "kind": kind,
        "frames": files,
        "still": data_address(b"", kind) + files[-1],
        "width": frames.shape[2],
        "height": frames.shape[1],
        "milliseconds": round(1000 / float(animation["fps"])),
        "alt": f"{shown}; the last moment is shown until it is played.",
        "caption": f"{shown}.",
    }
