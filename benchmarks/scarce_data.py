"""What a hybrid gives from scarce data: a page of the comparisons that `kedro run --pipelines compare` has left.

    python benchmarks/scarce_data.py data/08_reporting [--page docs/studies/scarce_data.md]

Every problem has a configuration directory, `conf/inviscid_burgers` (the hidden potential) and `conf/scarce_*`, which
says what is measured. Scores are over simulations that nobody measured; each seed draws data, weights and batches
anew. Physics alone has the configured inversion. A network alone has fewer updates and less time than the hybrid, so
the ratios are not at equal work. `sequence` is physics first, then the network on its predictions. `hybrid` has the
fixed weight 0.5, `hybrid_auto` has `alpha: auto`. Seconds are medians; the machine's other load differed from row to
row.
Fresh starts are mixtures of observed states: no hybrid here knows more than the measurements.

Experiments named `potential_…` are `inviscid_burgers`: noise 0 and 1 %, `truth` with window starts from the truth
(there noise 0 unless the name says 1), and `other` with the potential 0.8 cos(2πx/100 + 0.7) + 0.35 sin(4πx/100 - 0.3)
and the seeds 10 to 14; `networks` are those alone, with the position and (`blind`) without.

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


def rows(comparisons: list[dict[str, Any]]) -> Iterator[str]:
    """One row per experiment and method."""
    header = ("experiment", "method", "seeds", "nrmse: median", "quartiles", "worst (seed)", "all simulations")
    header += ("over best network alone", "errors of parameters: median; worst", "seconds")
    yield f"| {' | '.join(header)} |\n|{'---|' * len(header)}\n"
    for comparison in comparisons:
        methods = comparison["summary"]["methods"]
        trained = {r["method"]: comparison["trainings"][r["training"]]["method"] for r in comparison["runs"]}
        alone = [m["nrmse"]["median"] for name, m in methods.items() if trained[name] == "synthetic" and m["nrmse"]]
        for name, m in methods.items():
            if m["nrmse"] is None:
                yield f"| {comparison['experiment']} | {name} | {m['runs']} | all failed | | | | | | |\n"
                continue
            n = m["nrmse"]
            gain = f"{n['median'] / min(alone):.2f}" if alone and name.endswith("_synthetic") else ""
            errors = "; ".join(
                f"{parameter} {p['relative_error']['median']:.2g}; {p['relative_error']['worst']:.2g}"
                for parameter, p in m["parameters"].items()
                if p["relative_error"]
            )
            failed = f" ({m['failed']} failed)" if m["failed"] else ""
            yield (
                f"| {comparison['experiment']} | {name} | {m['runs']}{failed} | {n['median']:.3g} | "
                f"{n['lower_quartile']:.3g} to {n['upper_quartile']:.3g} | {n['worst']:.3g} ({n['worst_seed']}) | "
                f"{m['nrmse_all']['median']:.3g} | {gain} | {errors} | {m['wall_seconds']['median']:.0f} |\n"
            )


def main() -> None:
    """Print the table, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="+", help="folders with a folder of each experiment")
    parser.add_argument("--page", type=Path, help="where to write the page")
    arguments = parser.parse_args()
    files = sorted(path for folder in arguments.folder for path in folder.glob("*/comparison.json"))
    table = "".join(rows([json.loads(path.read_text()) for path in files]))
    print(table)
    if arguments.page is not None:
        run = "kedro run --pipelines compare --env"
        more = 'observation.noise=0.01,observation.window_start=truth,experiment=NAME"'
        commands = [f'{run} inviscid_burgers --params "experiment=potential_noise_0"']
        commands += [f'{run} inviscid_burgers --params "{more}']
        commands += [f"{run} scarce_{name}" for name in ("heat", "gray_scott", "navier_stokes", "burgers_2d")]
        commands.append("python benchmarks/scarce_data.py data/08_reporting --page docs/studies/scarce_data.md")
        write_page(arguments.page, "Scarce data", described(__doc__), commands, table)


if __name__ == "__main__":
    main()
