"""Statistics over seeds against numbers worked out by hand."""

import math

import numpy as np
import pytest

from hyco.comparison import markdown, table
from hyco.comparison.summary import over_time, ratio, statistics, summarise
from hyco.training.checkpoints import OBSERVATIONS

BOOTSTRAP = {"draws": 2000, "confidence": 0.95, "seed": 0}
TRAININGS = {
    "synthetic": {"method": "synthetic"},
    "physical": {"method": "physical"},
    "sequence": {"method": "sequence"},
    "strong": {"method": "hybrid"},  # a variant
}


def record(method, seed, nrmse, training=None, estimate=None, *, std=0.01, error=None):
    """A finished run, or with `nrmse=None` a failed one."""
    parameters = {}
    if estimate is not None:
        parameters["viscosity"] = {
            "true": 0.1,
            "estimate": estimate,
            "std": std,
            "interval": [estimate - 2 * std, estimate + 2 * std],
            "relative_error": abs(estimate - 0.1) / 0.1 if error is None else error,
            "pull": None,
            "identifiable": True,
        }
    failed = nrmse is None
    return {
        "method": method,
        "training": training or method,
        "seed": seed,
        "status": "failed" if failed else "finished",
        "reason": "NotConverged: too | few" if failed else None,
        "nrmse": nrmse,
        "nrmse_all": nrmse,
        "per_step": [] if failed else [nrmse],
        "parameters": parameters,
        "training_seconds": None if failed else 1.5,
        "wall_seconds": 2.0,
    }


def test_median_quartiles_and_worst_of_five_seeds():
    found = statistics({0: 3.0, 1: 1.0, 2: 9.0, 3: 2.0, 7: 4.0})
    assert found == {
        "median": 3.0,
        "lower_quartile": 2.0,
        "upper_quartile": 4.0,
        "worst": 9.0,
        "worst_seed": 2,
        "count": 5,
    }


def test_quartiles_of_an_even_number_are_interpolated_and_missing_values_do_not_count():
    found = statistics({0: 1.0, 1: 2.0, 2: 3.0, 3: 5.0, 4: None})
    assert (found["lower_quartile"], found["median"], found["upper_quartile"]) == (1.75, 2.5, 3.5)
    assert found["count"] == 4
    assert statistics({0: None}) is None


def test_the_ratio_is_the_geometric_mean_of_the_pairs():
    found = ratio([(1.0, 2.0), (8.0, 2.0)], **BOOTSTRAP)
    assert found["geometric_mean"] == pytest.approx(math.sqrt(0.5 * 4.0))
    # A resample of two pairs is one of 1/2, √2, 4: a quarter of the resamples lie at either end.
    assert (found["low"], found["high"]) == (pytest.approx(0.5), pytest.approx(4.0))
    three = ratio([(1.0, 1.0), (1.0, 1.0), (27.0, 1.0)], **BOOTSTRAP)
    assert three["geometric_mean"] == pytest.approx(3.0)
    assert ratio([(1.0, 2.0)], **BOOTSTRAP) == {"geometric_mean": pytest.approx(0.5), "low": None, "high": None}


def test_the_interval_of_a_ratio_covers_as_often_as_it_says_and_is_the_same_for_the_same_seed():
    generator = np.random.default_rng(1)
    samples = np.exp(generator.normal(math.log(0.8), 0.3, size=(300, 30)))
    found = [ratio([(value, 1.0) for value in sample], **{**BOOTSTRAP, "draws": 400}) for sample in samples]
    covered = np.mean([f["low"] <= 0.8 <= f["high"] for f in found])
    assert 0.88 < covered < 0.98
    assert ratio([(v, 1.0) for v in samples[0]], **BOOTSTRAP) == ratio([(v, 1.0) for v in samples[0]], **BOOTSTRAP)


def test_a_hybrid_is_held_against_each_model_alone_and_against_the_sequence_seed_by_seed():
    runs = [
        *(record("synthetic", s, v) for s, v in enumerate((0.4, 0.2, 0.8))),
        *(record("physical", s, 0.01, estimate=e) for s, e in enumerate((0.11, 0.12, 0.1))),
        *(record("sequence_synthetic", s, 0.1, "sequence") for s in range(3)),
        # Not in the order of the seeds, and one missing.
        record("strong_synthetic", 2, 0.2, "strong"),
        record("strong_synthetic", 0, 0.2, "strong"),
        record("strong_physical", 0, 0.02, "strong", 0.105),
        record("strong_physical", 1, 0.04, "strong", 0.14),
        record("strong_physical", 2, 0.01, "strong", 0.102),
    ]
    summary = summarise(runs, TRAININGS, **BOOTSTRAP)
    ratios = {(r["method"], r["against"], r["quantity"]): r for r in summary["ratios"]}
    network = ratios["strong_synthetic", "synthetic", "nrmse"]
    assert network["geometric_mean"] == pytest.approx(math.sqrt(0.2 / 0.4 * 0.2 / 0.8))
    assert (network["pairs"], network["worst"], network["worst_seed"]) == (2, 0.5, 0)
    assert ratios["strong_synthetic", "sequence_synthetic", "nrmse"]["geometric_mean"] == pytest.approx(2.0)
    error = ratios["strong_physical", "physical", "relative error of viscosity"]
    # Of seed 2 the physics alone has no error at all: there is no ratio, and that is said.
    assert (error["pairs"], error["left_out"]) == (2, [2])
    assert error["geometric_mean"] == pytest.approx(math.sqrt(0.5 * 2.0))
    assert error["shift"]["worst"] == pytest.approx(2.0)
    assert error["shift"]["worst_seed"] == 1
    assert ("strong_physical", "synthetic", "nrmse") not in ratios
    assert summary["methods"]["physical"]["parameters"]["viscosity"]["covered"] == 3
    assert summary["methods"]["strong_physical"]["parameters"]["viscosity"]["covered"] == 2


def test_a_seed_for_which_a_value_is_zero_or_missing_has_no_ratio_and_is_named():
    ours = [record("strong_physical", s, 0.1, "strong", e) for s, e in enumerate((0.1, 0.12, 0.14, 0.11))]
    ours[3]["parameters"] = {}
    theirs = [record("physical", s, 0.1, estimate=0.12) for s in range(4)]
    error = summarise([*ours, *theirs], TRAININGS, **BOOTSTRAP)["ratios"][1]
    assert error["quantity"] == "relative error of viscosity"
    assert (error["pairs"], error["left_out"]) == (2, [0, 3])
    assert error["geometric_mean"] == pytest.approx(math.sqrt(2.0))


def test_a_failed_run_is_counted_tabled_and_in_no_statistic():
    runs = [
        record("synthetic", 0, 0.4),
        record("synthetic", 1, None),
        record("strong_synthetic", 0, 0.2, "strong"),
        record("strong_synthetic", 1, 0.2, "strong"),
    ]
    summary = summarise(runs, TRAININGS, **BOOTSTRAP)
    entry = summary["methods"]["synthetic"]
    assert (entry["runs"], entry["failed"], entry["nrmse"]["count"]) == (2, 1, 1)
    assert [(r["pairs"], r["left_out"]) for r in summary["ratios"]] == [(1, [1])]
    comparison = {"experiment": "e", "seeds": [0, 1], "runs": runs, "summary": summary}
    page = markdown(comparison)
    assert "| synthetic | 2 | 1 | 0.4 | 0.4 to 0.4 | 0.4 (0) |" in page
    assert "| synthetic | 1 | NotConverged: too \\| few |" in page
    frame = table(comparison)
    assert list(frame["status"]) == ["finished", "failed", "finished", "finished"]


def test_a_method_without_a_finished_run_has_a_line_too():
    runs = [record("synthetic", 0, None)]
    summary = summarise(runs, TRAININGS, **BOOTSTRAP)
    assert summary["methods"]["synthetic"]["nrmse"] is None
    page = markdown({"experiment": "e", "seeds": [0], "runs": runs, "summary": summary})
    assert "| synthetic | 1 | 1 |  |  |  |  |  |" in page


def test_the_table_has_a_row_per_run_and_parameter():
    one = record("physical", 0, 0.01, estimate=0.11)
    two = record("physical", 1, 0.01, estimate=0.12)
    two["parameters"]["drag"] = {**two["parameters"]["viscosity"], "estimate": 3.0}
    frame = table({"experiment": "e", "runs": [one, two, record("synthetic", 0, 0.4)]})
    assert list(frame["parameter"].fillna("")) == ["viscosity", "viscosity", "drag", ""]
    assert frame["estimate"].iloc[2] == 3.0
    assert frame["nrmse"].iloc[3] == 0.4


def test_errors_over_time_have_a_median_and_quartiles_and_what_diverged_counts_as_the_largest():
    steps = {0: [1.0, 2.0], 1: [3.0, 4.0], 2: [2.0, None]}
    runs = [record("synthetic", seed, 1.0) | {"per_step": errors} for seed, errors in steps.items()]
    runs.append(record("physical", 0, None))
    assert over_time({"runs": runs}) == {"synthetic": ([1.5, 3.0], [2.0, 4.0], [2.5, math.inf])}
    assert over_time({"runs": runs, "configuration": {OBSERVATIONS: "digest"}}) == {}
