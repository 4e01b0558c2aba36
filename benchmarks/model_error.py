"""Physics that is wrong: what a learnt correction of the physical step makes of it, over seeds.

    python benchmarks/model_error.py --seeds 0-4 --results model_error.jsonl
    python benchmarks/model_error.py --table model_error.jsonl --write docs/studies/model_error.md

Three cases, each with two training simulations of 24 steps, 1 % noise, one for validation and three for the test, whole
states measured, initial states known: *coarse*, Burgers on 128 cells with a physical model on 32 (viscosity unknown);
*forcing*, Navier-Stokes on 32 × 32 cells with a force and a drag that the physical model does not know of (viscosity
unknown); *boundary*, advection and diffusion on 64 cells with an inflow value that is taken to be no slope (velocity
and diffusivity unknown). Methods: the physical model alone; the network alone; the same network as a correction of the
physical step, trained through the solver (`hybrid.correction` without a search for missing terms, which wrong_physics
is about), with the physical model fitted anew every 30 epochs. nrmse over whole test simulations, against the
noise-free truth. Settings were tried on the seeds 9 and 0.

The bar, set beforehand: corrected at most half the better of the other two, in the median, in two of three cases.
*Parameter error*: medians. *Seconds*: of each method, medians, of one core.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from hyco.config import resolve_hybrid
from hyco.equations.registry import build_equation
from hyco.evaluation import evaluated_models, roll_out_methods
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.trainer import HybridTrainer
from hyco.observations import ObservationConfig, observe
from hyco.report import report
from hyco.runtime.storage import Bundle
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.config import SyntheticConfig
from hyco.training.final import final_physical_model, final_synthetic_model
from hyco.training.physical import PhysicalConfig, train_physical
from hyco.training.synthetic import train_synthetic
from study import add_line, described, read_lines, write_page

CPU = torch.device("cpu")
STEPS = 24
OBSERVATION = {"train_sim": [0, 1], "val_sim": [4], "test_sim": [5, 6, 7], "noise": 0.01}
SYNTHETIC = {
    "network": {"name": "resnet", "filters": 16, "blocks": 2, "coordinates": True},
    "epochs": 150,
    "num_predict_steps": 12,
    "learning_rate": 4e-3,
    "batch_size": 4,
    "use_sliding_window": True,
    "curriculum": {"start": 1, "epochs": 110},
    "validate_every": 5,
}
PHYSICAL = {
    "method": "Levenberg-Marquardt",
    "num_predict_steps": STEPS,
    "max_iterations": 20,
    "suppress_convergence_errors": True,
}
HYBRID = {
    "epochs": 150,
    "num_predict_steps": 12,
    "observed_steps": STEPS,
    "warmup_epochs": 0,
    "interleave_frequency": 30,
    "correction": {"terms": False},
    "validate_every": 5,
}
CASES = {
    "coarse": {
        "equation": {
            "name": "burgers",
            "scheme": "upwind",
            "domain": {"x": {"size": 8.0, "resolution": 128}},
            "dt": 0.05,
            "max_speed": 8.0,
            "parameters": {"viscosity": 0.03},
        },
        "length_scale": 0.8,
        "network": {"coordinates": False},  # the same everywhere
        "physical": {
            "resolution": {"x": 32},
            "learnable_parameters": [{"name": "viscosity", "initial_guess": 0.1, "bounds": [0.002, 1.0]}],
        },
    },
    "forcing": {
        "equation": {
            "name": "navier_stokes",
            "domain": {"x": {"size": 6.0, "resolution": 32}, "y": {"size": 6.0, "resolution": 32}},
            "dt": 0.1,
            "max_speed": 3.0,
            "parameters": {"viscosity": 0.03, "drag": 0.2, "forcing": "0.8*sin(4*pi*y/6)"},
        },
        "length_scale": 1.0,
        "physical": {
            "equation": {"parameters": {"drag": 0.0, "forcing": 0.0}},
            "learnable_parameters": [{"name": "viscosity", "initial_guess": 0.1, "bounds": [0.002, 1.0]}],
        },
    },
    "boundary": {
        "equation": {
            "name": "advection_diffusion",
            "order": 2,
            "domain": {"x": {"size": 4.0, "resolution": 64}},
            "boundary": {"x": {"lower": 0.8, "upper": "neumann"}},
            "dt": 0.1,
            "max_speed": 1.5,
            "max_diffusivity": 0.1,
            "parameters": {"velocity_x": 0.6, "diffusivity": 0.02},
        },
        "length_scale": 0.8,
        "physical": {
            "equation": {"boundary": {"x": "neumann"}},
            "learnable_parameters": [
                {"name": "velocity_x", "initial_guess": 0.3, "bounds": [0.0, 1.5]},
                {"name": "diffusivity", "initial_guess": 0.05, "bounds": [0.001, 0.1]},
            ],
        },
    },
}
METHODS = ("physical", "synthetic", "hybrid_synthetic")


def trained(
    equation: Any, data: Any, seen: Any, sections: tuple[dict, dict, dict], configuration: dict
) -> tuple[dict[str, Any], dict[str, Any], dict[str, float]]:
    """Train all methods.

    Args:
        equation, data, seen: of the simulations, and what was measured of them.
        sections: `synthetic`, `physical` and `hybrid`.
        configuration: of the checkpoints, with the seed.

    Returns:
        Final models, what the report says and CPU seconds, each by method.
    """
    synthetic, physical, _ = sections
    seed, common = configuration["seed"], {"configuration": configuration, "device": CPU}
    models, seconds = {}, {}
    start = time.process_time()
    *_, (last, _) = train_physical(equation, seen, PhysicalConfig.model_validate(physical), **common)
    models["physical"], seconds["physical"] = final_physical_model(last), time.process_time() - start
    start = time.process_time()
    *_, (last, _) = train_synthetic(seen, SyntheticConfig.model_validate(synthetic), seed, **common)
    models["synthetic"], seconds["synthetic"] = final_synthetic_model(last), time.process_time() - start
    start = time.process_time()
    both = trained_hybrid(equation, seen, sections, configuration)
    models["hybrid_synthetic"], models["hybrid_physical"] = both
    seconds["hybrid_synthetic"] = time.process_time() - start
    return models, found_of(models, equation, data, seed), seconds


def trained_hybrid(
    equation: Any, seen: Any, sections: tuple[dict, dict, dict], configuration: dict
) -> tuple[Bundle, dict[str, Any]]:
    """The network and the physical model of a hybrid; arguments as those of `trained`."""
    synthetic, physical, hybrid = sections
    both = HybridConfig.model_validate(resolve_hybrid(hybrid, synthetic, physical))
    trainer = HybridTrainer(equation, seen, both, configuration["seed"], configuration=configuration, device=CPU)
    *_, (last, _) = trainer.train()
    return final_synthetic_model(last), final_physical_model(last)


def found_of(models: dict[str, Any], equation: Any, data: Any, seed: int) -> dict[str, Any]:
    """What the report says of each model on the simulations of the test."""
    evaluated = evaluated_models(models, equation)
    rollouts = roll_out_methods(data.tensors["trajectories"], OBSERVATION["test_sim"], equation, evaluated)
    return report("", seed, equation, equation.config.name, rollouts, evaluated)["methods"]


def errors_of(found: list[dict]) -> list[str]:
    """Cells of a row: errors of all methods, the corrected one over the better of the others, the bar."""
    row = []
    for method in METHODS:
        errors = [line["nrmse"][method] for line in found]
        row.append(f"{statistics.median(errors):.4f} ({max(errors):.4f})")
    ratios = [
        line["nrmse"]["hybrid_synthetic"] / min(line["nrmse"]["physical"], line["nrmse"]["synthetic"]) for line in found
    ]
    row.append(f"{statistics.median(ratios):.2f} ({max(ratios):.2f})")
    return [*row, "yes" if statistics.median(ratios) <= 0.5 else "no"]


def seconds_of(found: list[dict]) -> str:
    """The last cell of a row: medians."""
    return " / ".join(f"{statistics.median(line['seconds'][m] for line in found):.0f}" for m in METHODS)


def run(case: str, seed: int, epochs: int | None = None) -> dict:
    """All methods on one draw of a case: nrmse, estimates and seconds.

    Args:
        epochs: of both networks; None: as in the study.
    """
    section = CASES[case]
    equation = build_equation(section["equation"])
    data = generate(equation, GenerationConfig(simulations=8, steps=STEPS, length_scale=section["length_scale"]), seed)
    seen = observe(data, ObservationConfig.model_validate(OBSERVATION), seed)
    shorter = {} if epochs is None else {"epochs": epochs}
    network = SYNTHETIC["network"] | section.get("network", {})
    synthetic, physical = SYNTHETIC | shorter | {"network": network}, PHYSICAL | section["physical"]
    sections = (synthetic, physical, HYBRID | shorter)
    _, found, seconds = trained(equation, data, seen, sections, {"equation": section["equation"], "seed": seed})
    return {
        "case": case,
        "seed": seed,
        "nrmse": {method: found[method]["nrmse"]["mean"] for method in METHODS},
        "parameters": {
            method: {name: p["relative_error"] for name, p in found[method]["parameters"].items()}
            for method in ("physical", "hybrid_physical")
        },
        "seconds": seconds,
    }


def table(lines: list[dict]) -> str:
    """Markdown: one row per case."""
    names = ("case", "seeds", *(f"{m} median (worst)" for m in ("physics alone", "network alone", "corrected")))
    names += ("corrected / the better: median (worst)", "met", "parameter error, alone", "corrected", "seconds")
    rows = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for case in CASES:
        found = [line for line in lines if line["case"] == case]
        if not found:
            continue
        row = [case, str(len(found)), *errors_of(found)]
        for method in ("physical", "hybrid_physical"):
            names = found[0]["parameters"][method]
            errors = [f"{statistics.median(line['parameters'][method][n] for line in found):.1%}" for n in names]
            row.append(", ".join(errors))
        row.append(seconds_of(found))
        rows.append("| " + " | ".join(row) + " |")
    return "\n".join(rows)


def main() -> None:
    """Run seeds, or print the table of what was run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0-4", help="first-last")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--results", type=Path, help="file that a line is appended to per run")
    parser.add_argument("--table", type=Path, nargs="+", help="print the table of these files and stop")
    parser.add_argument("--write", type=Path, help="with --table: write it to this file too")
    arguments = parser.parse_args()
    if arguments.table:
        text = table(read_lines(arguments.table))
        if arguments.write:
            command = "python benchmarks/model_error.py --seeds 0-4 --results model_error.jsonl"
            write_page(arguments.write, "Physics that is wrong", described(__doc__), [command], text)
        print(text)
        return
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    first, last = map(int, arguments.seeds.split("-"))
    lines = []
    for seed in range(first, last + 1):
        for case in arguments.cases.split(","):
            lines.append(run(case, seed))
            add_line(arguments.results, lines[-1])
    print(table(lines))


if __name__ == "__main__":
    main()
