"""What a hybrid gives from scarce data: a page of the comparisons that `kedro run --pipelines compare` has left.

    python benchmarks/scarce_data.py data/08_reporting [--page docs/studies/scarce_data.md]

Every problem has a configuration directory, `conf/inviscid_burgers` (the hidden potential) and `conf/scarce_*`, which
says what is measured. Scores are over simulations that nobody measured; each seed draws data, weights and batches anew.
Physics alone has the configured inversion. A network alone has fewer updates and less time than the hybrid, so the
ratios are not at equal work. `sequence` is physics first, then the network on its predictions, and like `hybrid` has
the fixed weight 0.5; `hybrid_auto` has `alpha: auto`. Seconds are medians; the machine's other load differed from row
to row. Fresh starts are mixtures of observed states: no hybrid here knows more than the measurements.
Those of `potential_…` were so when it was measured, too, in 80 epochs at a rate of 0.003; as the experiment stands, its
fresh starts have the spectrum of the states seen ([benchmarks](../benchmarks.md#the-hidden-potential)).

Experiments named `potential_…` are `inviscid_burgers`: noise 0 and 1 %, `truth` with window starts from the truth
(noise 0 unless the name says 1), and `other` with the potential 0.8 cos(2πx/100 + 0.7) + 0.35 sin(4πx/100 - 0.3)
and the seeds 10 to 14. The networks alone there are `synthetic` (a resnet), `unet` and `fno`, with the position and
(`blind`) without.

Of the hidden potential, nrmse of the network alone and of the hybrid in HYCO-PhiFlow's own log are 0.337 and 0.290 (one
seed, window starts from the truth), errors of the potential 0.560 and 0.563.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from study import described, write_page

HEADER = ("experiment", "method", "seeds", "nrmse: median", "quartiles", "worst (seed)", "all simulations")
HEADER += ("over best network alone", "errors of parameters: median; worst", "seconds")
GAIN = HEADER.index("over best network alone")
Row = list[str]


def rows(comparison: dict[str, Any]) -> Iterator[Row]:
    """One row per method, without the gain over the networks alone."""
    for name, m in comparison["summary"]["methods"].items():
        begin = [comparison["experiment"], name, f"{m['runs']}" + (f" ({m['failed']} failed)" if m["failed"] else "")]
        n = m["nrmse"]
        if n is None:
            yield [*begin, "all failed", *[""] * (len(HEADER) - 4)]
            continue
        errors = "; ".join(
            f"{parameter} {p['relative_error']['median']:.2g}; {p['relative_error']['worst']:.2g}"
            for parameter, p in m["parameters"].items()
            if p["relative_error"]
        )
        quartiles = f"{n['lower_quartile']:.3g} to {n['upper_quartile']:.3g}"
        worst = f"{n['worst']:.3g} ({n['worst_seed']})"
        nrmse = [f"{n['median']:.3g}", quartiles, worst, f"{m['nrmse_all']['median']:.3g}"]
        yield [*begin, *nrmse, "", errors, f"{m['wall_seconds']['median']:.0f}"]


def rows_of(page: Path) -> Iterator[Row]:
    """The rows that a page has already."""
    for line in page.read_text().splitlines() if page.exists() else ():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == len(HEADER) and cells[0] != HEADER[0]:
            yield cells


def table(found: list[Row]) -> str:
    """All rows, with the gain of both-model methods over the best network alone of the same experiment."""
    alone: dict[str, float] = {}
    for row in found:
        trained_alone = row[1] not in ("persistence", "physical") and not row[1].endswith(("_synthetic", "_physical"))
        if trained_alone and row[3] != "all failed":
            alone[row[0]] = min(float(row[3]), alone.get(row[0], float("inf")))
    lines = [f"| {' | '.join(HEADER)} |\n", f"|{'---|' * len(HEADER)}\n"]
    for row in sorted(found, key=lambda row: (row[0], _kind(row[1]))):
        both = row[1].endswith("_synthetic") and row[0] in alone and row[3] != "all failed"
        gain = f"{float(row[3]) / alone[row[0]]:.2f}" if both else ""
        lines.append(f"| {' | '.join([*row[:GAIN], gain, *row[GAIN + 1 :]])} |\n")
    return "".join(lines)


def _kind(method: str) -> int:
    """Baselines first, then networks alone, then what has both models."""
    kinds = ("persistence", "physical", "sequence", "hybrid_physical", "hybrid_synthetic", "hybrid")
    return next((i if i < 2 else i + 1 for i, kind in enumerate(kinds) if method.startswith(kind)), 2)


def main() -> None:
    """Print the table, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="+", help="folders with a folder of each experiment")
    parser.add_argument("--page", type=Path, help="where to write the page; its rows that the folders do not have stay")
    arguments = parser.parse_args()
    files = sorted(path for folder in arguments.folder for path in folder.glob("*/comparison.json"))
    found = {(row[0], row[1]): row for row in rows_of(arguments.page)} if arguments.page is not None else {}
    for path in files:
        found |= {(row[0], row[1]): row for row in rows(json.loads(path.read_text()))}
    lines = table(list(found.values()))
    print(lines)
    if arguments.page is not None:
        run = "kedro run --pipelines compare --env"
        more = 'observation.noise=0.01,observation.window_start=truth,experiment=NAME"'
        commands = [f'{run} inviscid_burgers --params "experiment=potential_noise_0"']
        commands += [f'{run} inviscid_burgers --params "{more}']
        commands += [f"{run} scarce_{name}" for name in ("heat", "gray_scott", "navier_stokes", "burgers_2d")]
        commands.append("python benchmarks/scarce_data.py data/08_reporting --page docs/studies/scarce_data.md")
        write_page(arguments.page, "Scarce data", described(__doc__), commands, lines)


if __name__ == "__main__":
    main()
