"""The studies of hybrids: their set-ups are valid, and their tables say what was measured."""

import pytest

import do_no_harm
import model_error
import scarce_data
import wrong_physics
from hyco.config import parse


@pytest.mark.parametrize("condition", do_no_harm.CONDITIONS)
@pytest.mark.parametrize("problem", list(do_no_harm.PROBLEMS))
def test_every_task_of_do_no_harm_is_a_valid_configuration(problem, condition):
    configuration = parse(do_no_harm.parameters(problem, condition))
    assert configuration.hybrid.alpha == "auto"
    assert configuration.observation.val_sim, "without them nothing is promised"
    wrong = condition == "useless physics"
    assert bool(configuration.physical.equation) == wrong


def line(seed, network, physics, moved=0.0):
    alone = {"synthetic": 0.1, "physical": 0.01}
    hybrid = {"hybrid_auto_synthetic": 0.1 * network, "hybrid_auto_physical": 0.01 * physics}
    return {"problem": "heat", "condition": "plentiful", "seed": seed, "moved": moved, **alone, **hybrid}


def test_harm_is_seen_in_the_upper_end_of_the_interval():
    held = "".join(do_no_harm.rows([line(s, 1.0 + 0.01 * s, 0.9) for s in range(5)]))
    assert held.strip().endswith("held |")
    assert "| 1.020 (" in held
    worse = "".join(do_no_harm.rows([line(s, 1.0, 1.2, moved=3.0) for s in range(5)]))
    assert worse.strip().endswith("missed |")
    near = "".join(do_no_harm.rows([line(s, 1.0, 1.2, moved=0.05) for s in range(5)]))
    assert near.strip().endswith("held |"), "parameters within a tenth of their std are the same"


def test_the_page_of_scarce_data_divides_by_the_best_network_alone(tmp_path):
    def statistics(median):
        keys = ("median", "lower_quartile", "upper_quartile", "worst", "worst_seed")
        return dict.fromkeys(keys, median)

    def entry(median, parameters=None):
        common = {"runs": 3, "failed": 0, "parameters": parameters or {}}
        return common | {key: statistics(median) for key in ("nrmse", "nrmse_all", "wall_seconds")}

    error = {"viscosity": {"relative_error": statistics(0.02)}}
    methods = {"synthetic": entry(0.4), "unet": entry(0.2), "hybrid_synthetic": entry(0.05)}
    methods |= {"hybrid_physical": entry(0.01, error)}
    trainings = {"synthetic": {"method": "synthetic"}, "unet": {"method": "synthetic"}, "hybrid": {"method": "hybrid"}}
    trained = {"synthetic": "synthetic", "unet": "unet", "hybrid_synthetic": "hybrid", "hybrid_physical": "hybrid"}
    comparison = {
        "experiment": "e",
        "summary": {"methods": methods},
        "trainings": trainings,
        "runs": [{"method": method, "training": training} for method, training in trained.items()],
    }
    first = list(scarce_data.rows(comparison))
    page = tmp_path / "page.md"
    page.write_text(f"# Scarce data\n\n{scarce_data.table(first)}")
    found = page.read_text().splitlines()
    assert "| 0.25 |" in next(row for row in found if "hybrid_synthetic" in row)
    assert "viscosity 0.02; 0.02" in next(row for row in found if "hybrid_physical" in row)
    # A page made again from itself is the same, and what was measured anew replaces its row.
    kept = list(scarce_data.rows_of(page))
    assert scarce_data.table(kept) == scarce_data.table(first)
    new = [row for row in kept if row[1] != "unet"] + [[*kept[0][:1], "unet", "3", "0.1", *[""] * 6]]
    assert "| 0.50 |" in next(row for row in scarce_data.table(new).splitlines() if "hybrid_synthetic" in row)


def test_the_table_of_model_errors_has_the_bar():
    lines = [
        {
            "case": "coarse",
            "seed": seed,
            "nrmse": {"physical": 0.2, "synthetic": 0.3, "hybrid_synthetic": 0.09 + 0.01 * seed},
            "parameters": {m: {"viscosity": 0.1} for m in ("physical", "hybrid_physical")},
            "seconds": dict.fromkeys(model_error.METHODS, 1.0),
        }
        for seed in range(3)
    ]
    row = model_error.table(lines).splitlines()[-1]
    assert "0.50 (0.55)" in row
    assert "| yes |" in row


def test_the_table_of_wrong_physics_counts_what_is_named_and_what_is_honest():
    number = {"estimate": 0.05, "interval": [0.04, 0.06], "separable": True}
    wrong = {"estimate": 0.6, "interval": [0.59, 0.61], "separable": False}
    entries = {"D": number, "c": wrong}
    line = {
        "case": "force",
        "seed": 1,
        "nrmse": {"physical": 0.4, "synthetic": 0.2, "hybrid_synthetic": 0.05},
        "verdict": {"physical": "physics", "hybrid_physical": "physics"},
        "parameters": {"physical": entries, "hybrid_physical": entries},
        "strategies": {
            "nrmse": {"alpha: 0.5": 0.2, "alpha: auto": 0.06, "sequential": 0.1, "correction": 0.05},
            "chosen": "correction",
            "seconds": 4.0,
        },
        "seconds": {"physical": 1.0, "synthetic": 2.0, "hybrid_synthetic": 3.0},
    }
    blind = line | {
        "parameters": {"physical": entries, "hybrid_physical": {"D": number, "c": wrong | {"separable": True}}},
        "strategies": line["strategies"] | {"chosen": "alpha: auto"},
    }
    found = {"terms_of": "drag", "data": "SciPy", "seed": 1, "words": ["a drag -0.1*u"], "seconds": 1.0}
    terms = [found | {"found": ["u"]}, found | {"found": ["u", "1"]}]
    text = wrong_physics.tables([line, blind, *terms])
    assert (
        "| force | 2 | 0.4000 (0.4000) | 0.2000 (0.2000) | 0.0500 (0.0500) | 0.25 (0.25) | yes | physics 2 | 1 | 1 |"
        in text
    )
    assert (
        "| force | 2 | correction 1, alpha: auto 1 | 1.10 (1.20) | 1 | 0.2000 | 0.0600 | 0.1000 | 0.0500 | 4 |" in text
    )
    assert "| drag | SciPy | 2 | 1 | 1 | a drag -0.1*u | 1.0 |" in text


@pytest.mark.slow
@pytest.mark.parametrize(("missing", "scipy"), [("drag", True), ("reaction", False)])
def test_what_is_missing_is_named_in_the_study(missing, scipy):
    """Also where the fit without the one term of a reaction cannot tell the other from the diffusion."""
    found = wrong_physics.run_terms(missing, 9, scipy=scipy)["found"]
    assert set(found) == wrong_physics.TERMS[missing]["named"]
