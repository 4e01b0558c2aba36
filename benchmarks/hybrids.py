"""What studies of hybrids share: every method trained on one draw, what the report says of it, and cells of a table."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch

from hyco.config import resolve_hybrid
from hyco.evaluation import evaluated_models, roll_out_methods
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.trainer import HybridTrainer
from hyco.report import report
from hyco.runtime.storage import Bundle
from hyco.training.config import SyntheticConfig
from hyco.training.final import final_physical_model, final_synthetic_model
from hyco.training.physical import PhysicalConfig, train_physical
from hyco.training.synthetic import train_synthetic

CPU = torch.device("cpu")
METHODS = ("physical", "synthetic", "hybrid_synthetic")


def trained(
    equation: Any, data: Any, seen: Any, tests: list[int], sections: tuple[dict, dict, dict], configuration: dict
) -> tuple[dict[str, Any], dict[str, Any], dict[str, float]]:
    """Train all methods.

    Args:
        equation, data, seen: of the simulations, and what was measured of them.
        tests: the simulations that they are tested on.
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
    return models, found_of(models, equation, data, tests, seed), seconds


def trained_hybrid(
    equation: Any, seen: Any, sections: tuple[dict, dict, dict], configuration: dict
) -> tuple[Bundle, dict[str, Any]]:
    """The network and the physical model of a hybrid; arguments as those of `trained`."""
    synthetic, physical, hybrid = sections
    both = HybridConfig.model_validate(resolve_hybrid(hybrid, synthetic, physical))
    trainer = HybridTrainer(equation, seen, both, configuration["seed"], configuration=configuration, device=CPU)
    *_, (last, _) = trainer.train()
    return final_synthetic_model(last), final_physical_model(last)


def found_of(models: dict[str, Any], equation: Any, data: Any, tests: list[int], seed: int) -> dict[str, Any]:
    """What the report says of each model on the simulations of the test."""
    evaluated = evaluated_models(models, equation)
    rollouts = roll_out_methods(data.tensors["trajectories"], tests, equation, evaluated)
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
