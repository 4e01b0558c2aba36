"""What trainings cost: seconds of each phase, memory, and a page that says where the time went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def cost(trainings: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds of each phase, summed over the trainings of this run, and the largest peak memory.

    Args:
        trainings: see `hyco.training.final.training_summary`; one for each model, those of one training are the same.
    """
    runs = _each_once(trainings)
    total: dict[str, float] = {"wall_seconds": sum(t["wall_seconds"] for t in runs)}
    for phase in ("conversion", "physical", "synthetic"):
        total[f"{phase}_seconds"] = sum(t["seconds"].get(phase, 0.0) for t in runs)
    total["peak_rss_bytes"] = max((t["peak_rss_bytes"] for t in runs), default=0)
    return total


def _each_once(trainings: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return list({training["training"]: training for training in trainings}.values())


def profile(trainings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The content of profile.json: where the time of each training went.

    By training `wall_seconds`; `phases`, a list of {name, seconds, share of the wall time}, whose last is the "rest",
    what is in no phase: checkpoints, live metrics and the log; and `operators`, see
    `hyco.runtime.monitoring.top_operators`, empty unless they were recorded.
    """
    profiles = {}
    for training in _each_once(trainings):
        wall, seconds = training["wall_seconds"], training["seconds"]
        parts = {**seconds, "rest": wall - sum(seconds.values())}
        profiles[training["training"]] = {
            "wall_seconds": wall,
            "phases": [{"name": name, "seconds": value, "share": value / wall} for name, value in parts.items()],
            "operators": training["operators"],
        }
    return {"trainings": profiles}


def profile_page(profile: Mapping[str, Any]) -> str:
    """The profile as Markdown: for each training a table of phases, and one of operators for each part recorded."""
    lines = ["# Where the time went", ""]
    for training, entry in profile["trainings"].items():
        lines += [f"## {training}: {entry['wall_seconds']:.3g} s", "", "| phase | seconds | share |", "|---|---|---|"]
        lines += [f"| {row['name']} | {row['seconds']:.3g} | {row['share']:.1%} |" for row in entry["phases"]]
        lines += ["", "*rest* is in no phase: checkpoints, live metrics and the log.", ""]
        if not entry["operators"]:
            lines += ["Operators were not recorded; `profile: true` does.", ""]
        for part, recorded in entry["operators"].items():
            lines += [f"### Operators of {part}", "", f"Self time, of {recorded['seconds']:.3g} s recorded.", ""]
            lines += ["| operator | device | calls | seconds | share |", "|---|---|---|---|---|"]
            for row in recorded["top"]:
                calls = "" if row["calls"] is None else row["calls"]
                numbers = f"{row['device']} | {calls} | {row['seconds']:.3g} | {row['share']:.1%}"
                lines.append(f"| {row['name']} | {numbers} |")
            lines.append("")
    return "\n".join(lines)
