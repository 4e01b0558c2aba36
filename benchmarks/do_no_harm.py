"""Does a hybrid with `alpha: auto` ever make one of its models worse?

    python benchmarks/do_no_harm.py [--seeds 6] [--lines FILE] [--page docs/studies/do_no_harm.md]

Twelve tasks: four equations, each under three conditions in which one model has nothing to give the other.

- plentiful: eight simulations, seen everywhere and without noise: each model alone has all that it needs.
- useless physics: the physical model has another equation than the data.
- useless network: a learning rate of 1e-9 leaves the network as it was drawn.

In the last two, two simulations are seen everywhere with 2 % noise. There always are four validation simulations,
and the hybrid has fresh starts. Each seed draws data, weights and batches anew. For both models the table has the
geometric mean over the seeds of nrmse(hybrid) / nrmse(alone), with a 95 % bootstrap interval, and the worst seed; for
the physical model also the largest distance of any parameter from its value alone, in reported standard deviations.
The bar: the upper end of the interval is at most 1.10, or the parameters are within 0.1 standard deviations.

Without noise the error of the physical model is rounding, 1e-15 to 1e-13, in all problems but `potential`: there its
ratio, and distances in standard deviations of that size, say nothing of the method, and a row that misses the bar by
them is called missed all the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml

from hyco.comparison.one_run import run
from hyco.comparison.summary import ratio
from hyco.config import contenders, parse
from hyco.sections import merge
from study import add_line, described, read_lines, write_page

ROOT = Path(__file__).resolve().parents[1]
BAR, BAR_STD = 1.10, 0.1

_LINE = {"x": {"size": 10.0, "resolution": 64}}
_NETWORK = {"name": "resnet", "filters": 16, "blocks": 2, "kernel_size": 5}

# By name: the equation of the data with what is learnt, and what the useless physical model believes instead.
PROBLEMS: dict[str, dict[str, Any]] = {
    "burgers": {
        "equation": {
            "name": "burgers",
            "scheme": "upwind",
            "domain": _LINE,
            "dt": 0.05,
            "max_speed": 6.0,
            "parameters": {"viscosity": 0.1},
        },
        "learnt": [{"name": "viscosity", "initial_guess": 0.5, "bounds": [0.005, 1.0]}],
        "wrong": {
            "equation": {"name": "inviscid_burgers", "max_speed": 6.0, "parameters": {"potential": 0.0}},
            "learnt": [{"name": "potential", "kind": "fourier", "modes": 2, "mean": False, "prior_std": 1.0}],
        },
    },
    "heat": {
        "equation": {
            "name": "heat",
            "order": 2,
            "domain": _LINE,
            "dt": 0.1,
            "max_diffusivity": 1.0,
            "parameters": {"diffusivity": 0.08},
        },
        "learnt": [{"name": "diffusivity", "initial_guess": 0.3, "bounds": [0.005, 1.0]}],
        "wrong": {
            "equation": {"boundary": 0.0},
            "learnt": [{"name": "diffusivity", "initial_guess": 0.7, "bounds": [0.5, 1.0]}],
        },
    },
    "advection_diffusion": {
        "equation": {
            "name": "advection_diffusion",
            "order": 2,
            "domain": _LINE,
            "dt": 0.1,
            "max_speed": 1.0,
            "max_diffusivity": 0.3,
            "parameters": {"velocity_x": 0.5, "diffusivity": 0.02},
        },
        "learnt": [
            {"name": "velocity_x", "initial_guess": 0.2, "bounds": [-1.0, 1.0]},
            {"name": "diffusivity", "initial_guess": 0.1, "bounds": [0.002, 0.3]},
        ],
        "wrong": {
            "equation": {"name": "advection", "max_speed": 1.0, "parameters": {"velocity_x": -0.3}},
            "learnt": [{"name": "velocity_x", "initial_guess": -0.3, "bounds": [-1.0, -0.2]}],
        },
    },
    "potential": {
        "equation": {
            "name": "inviscid_burgers",
            "domain": _LINE,
            "dt": 0.05,
            "max_speed": 5.0,
            "parameters": {"potential": "0.6*sin(2*pi*x/10 + 0.4) + 0.2*cos(4*pi*x/10)"},
        },
        "learnt": [{"name": "potential", "kind": "fourier", "modes": 3, "mean": False, "prior_std": 1.0}],
        "coordinates": True,
        "wrong": {
            "equation": {"name": "burgers", "max_speed": 5.0, "parameters": {"viscosity": 1.0}},
            "learnt": [{"name": "viscosity", "initial_guess": 1.0, "bounds": [0.5, 2.0]}],
        },
    },
}
CONDITIONS = ("plentiful", "useless physics", "useless network")


def parameters(problem: str, condition: str) -> dict[str, Any]:
    """The parameters of one task, as a configuration directory would hold them."""
    base: dict[str, Any] = {}
    for path in sorted((ROOT / "conf" / "base").glob("parameters*.yml")):
        base = merge(base, yaml.safe_load(path.read_text()))
    p = PROBLEMS[problem]
    many = condition == "plentiful"
    train = list(range(8 if many else 2))
    physical: dict[str, Any] = {"learnable_parameters": p["learnt"]}
    if condition == "useless physics":
        wrong = p["wrong"]["equation"]
        physical = {"learnable_parameters": p["wrong"]["learnt"], "equation": wrong}
    epochs = 40 if many else 120
    network = {**_NETWORK, "coordinates": p.get("coordinates", False)}
    return merge(
        base,
        {
            "experiment": "do_no_harm",
            "threads": 1,
            "equation": p["equation"],
            "generation": {"simulations": 16, "steps": 20, "length_scale": 1.5, "amplitude": 0.7},
            "observation": {
                "train_sim": train,
                "val_sim": [8, 9, 10, 11],
                "test_sim": [12, 13, 14, 15],
                "noise": 0.0 if many else 0.02,
                "space": {"mode": "full"},
                "time": {"mode": "full"},
            },
            "synthetic": {
                "network": network,
                "epochs": epochs,
                "num_predict_steps": 4,
                "learning_rate": 1e-9 if condition == "useless network" else 3e-3,
                "batch_size": 4,
                "validate_every": 5,
            },
            "physical": {"method": "Levenberg-Marquardt", "epochs": 30, "num_predict_steps": 20, **physical},
            "hybrid": {
                "epochs": epochs,
                "num_predict_steps": 4,
                "observed_steps": 20,
                "alpha": "auto",
                "warmup_epochs": 5,
                "interleave_frequency": 5,
                "validate_every": 5,
                "physical": {"max_iterations": 30},  # as alone
            },
            "compare": {"methods": ["synthetic", "physical", "hybrid_auto"]},
        },
    )


def one(problem: str, condition: str, seed: int) -> dict[str, Any]:
    """All three trainings of one task and seed: errors of both models, alone and in the hybrid."""
    given = parameters(problem, condition)
    parse(given)
    found = {r["method"]: r for c in contenders(given) for r in run(c, seed, "cpu")}
    alone, hybrid = found["physical"]["parameters"], found["hybrid_auto_physical"]["parameters"]
    moved = [
        abs(hybrid[name]["estimate"] - p["estimate"]) / p["std"]
        for name, p in alone.items()
        if p["std"] and p["estimate"] is not None
    ]
    return {
        "problem": problem,
        "condition": condition,
        "seed": seed,
        **{method: record["nrmse"] for method, record in found.items()},
        "moved": max(moved, default=None),
        "seconds": {r["training"]: r["wall_seconds"] for r in found.values()},
        "failed": {method: r["reason"] for method, r in found.items() if r["status"] != "finished"},
    }


def rows(lines: list[dict[str, Any]]) -> Iterator[str]:
    """The table, in Markdown."""
    header = ("problem", "condition", "seeds", *("network alone", "hybrid / alone", "worst"))
    header += ("physics alone", "hybrid / alone", "worst", "moved by (std)", "bar")
    yield f"| {' | '.join(header)} |\n|{'---|' * len(header)}\n"
    for problem in PROBLEMS:
        for condition in CONDITIONS:
            mine = [x for x in lines if (x["problem"], x["condition"]) == (problem, condition)]
            if not mine:
                continue
            cells, held = [], []
            for part, hybrid in (("synthetic", "hybrid_auto_synthetic"), ("physical", "hybrid_auto_physical")):
                pairs = [(x[hybrid], x[part]) for x in mine if x[hybrid] is not None and x[part] is not None]
                r = ratio(pairs, draws=10_000, confidence=0.95, seed=0)
                median = sorted(b for _, b in pairs)[len(pairs) // 2]
                high = r["high"] if r["high"] is not None else r["geometric_mean"]
                low = r["low"] if r["low"] is not None else r["geometric_mean"]
                cells.append(
                    f"{median:.3g} | {r['geometric_mean']:.3f} ({low:.3f} to {high:.3f}) | "
                    f"{max(a / b for a, b in pairs):.3f}"
                )
                held.append(high <= BAR and len(pairs) == len(mine))
            moved = [x["moved"] for x in mine if x["moved"] is not None]
            near = bool(moved) and max(moved) <= BAR_STD
            kept = held[0] and (held[1] or near)
            shown = f"{max(moved):.2g}" if moved else ""
            yield f"| {problem} | {condition} | {len(mine)} | {cells[0]} | {cells[1]} | {shown} | "
            yield f"{'held' if kept else 'missed'} |\n"


def main() -> None:
    """Run what is not in the file of lines yet, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=6, help="seeds 0 to this number less one")
    parser.add_argument(
        "--lines", type=Path, help="file of results, one JSON line each; what is there is not run again"
    )
    parser.add_argument("--page", type=Path, help="where to write the page")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = read_lines([arguments.lines])
    done = {(x["problem"], x["condition"], x["seed"]) for x in lines}
    for seed in range(arguments.seeds):
        for problem in PROBLEMS:
            for condition in CONDITIONS:
                if (problem, condition, seed) not in done:
                    line = one(problem, condition, seed)
                    add_line(arguments.lines, line)
                    lines.append(line)
                    print(line, flush=True)
    table = "".join(rows(lines))
    print(table)
    if arguments.page is not None:
        command = f"python benchmarks/do_no_harm.py --seeds {arguments.seeds} --page docs/studies/do_no_harm.md"
        write_page(arguments.page, "Do no harm", described(__doc__), [command], table)


if __name__ == "__main__":
    main()
