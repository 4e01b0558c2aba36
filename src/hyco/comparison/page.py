"""The page of a comparison: one file of HTML, like that of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyco.comparison.summary import introduction, parts_of
from hyco.display.introduction import problem_words
from hyco.equations.equation import Equation
from hyco.report.facts import problem_facts, statement
from hyco.report.page import configuration_text
from hyco.report.page_parts import Table, formula_pictures, png_picture, rendered, versions


def comparison_page(
    comparison: Mapping[str, Any],
    configuration: Mapping[str, Any],
    equation: Equation,
    figures: Mapping[str, bytes | None],
    command: str,
) -> str:
    """The page.

    Args:
        comparison: the content of comparison.json.
        configuration: all parameters, after all overrides.
        equation: of the data.
        figures: PNG files, None where there is none: `errors` of every method, all seeds visible, and `rollouts`, the
            errors over time.
        command: that started the run; empty where it was none.
    """
    tables = [Table(f"{p.heading}. {p.words}".strip(), p.header, p.rows) for p in parts_of(comparison)]
    medians = {m: e["nrmse"]["median"] for m, e in comparison["summary"]["methods"].items() if e["nrmse"]}
    words = ", ".join(f"{method} {median:.3g}" for method, median in medians.items())
    marks = f"Errors of every method, a mark for each seed and a bar at the median. Medians: {words}."
    lines = "Error of every method over the rollout: a line at the median of the seeds, a band between its quartiles."
    shown = [
        png_picture(data, alternative, caption)
        for name, alternative, caption in (
            ("errors", marks, "Errors of every method: a mark for each seed, a bar at the median."),
            ("rollouts", f"{lines} Medians of the means: {words}.", lines),
        )
        if (data := figures.get(name)) is not None
    ]
    return rendered(
        "comparison.html",
        {
            "title": f"{comparison['experiment']}: methods compared",
            "subtitle": problem_words(configuration),
            "sentences": [introduction(comparison)],
            "figures": shown,
            "tables": tables,
            "formulas": formula_pictures(equation.typeset(), statement(equation)),
            "problem": list(problem_facts(equation, configuration)),
            "commands": [command] if command else ["kedro run --pipelines compare"],
            "provenance": [("seeds", ", ".join(map(str, comparison["seeds"]))), *versions()],
            "configuration": configuration_text(configuration),
        },
    )
