"""The studies of hybrids: their set-ups are valid, and their tables say what was measured."""

import pytest

import do_no_harm
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


def test_the_table_of_scarce_data_divides_by_the_better_network_alone():
    def line(seed, hybrid):
        alone = {"persistence": 0.9, "synthetic": 0.4, "equal_updates": 0.2, "physical": 0.01, "hybrid_physical": 0.01}
        updates = {"synthetic": 100, "equal_updates": 900, "hybrid": 900}
        seconds = {"synthetic": 1.0, "equal_updates": 9.0, "hybrid": 12.0}
        errors = alone | {"hybrid_synthetic": hybrid}
        return {"problem": "heat", "seed": seed, "nrmse": errors, "seconds": seconds, "updates": updates}

    rows = scarce_data.table([line(2, 0.05), line(1, 0.04), line(3, 0.1)]).splitlines()[2:]
    assert [row.split(" | ")[1] for row in rows] == ["1", "2", "3", "median", "worst"]
    assert "| 0.20 | 100 / 900 | 1 / 9 / 12 |" in rows[0]
    assert "| 0.25 (bar 0.3: met) |" in rows[3]
    assert "| 0.50 |" in rows[4]


@pytest.mark.parametrize("problem", scarce_data.BARS)
def test_every_problem_of_scarce_data_is_a_valid_configuration(problem):
    configuration = parse(scarce_data.parameters(f"scarce_{problem}"))
    assert configuration.hybrid.alpha == "auto"
    assert configuration.hybrid.interaction.source == "estimated", "no more than the measurements say"
    assert not configuration.hybrid.sequential


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
@pytest.mark.parametrize(
    ("missing", "seed", "scipy"), [("drag", 9, True), ("reaction", 9, False), ("reaction", 301, True)]
)
def test_what_is_missing_is_named_in_the_study(missing, seed, scipy):
    """Also where the fit without the one term of a reaction cannot tell the other from the diffusion.

    And where a third term alone predicts better than either of the two alone.
    """
    found = wrong_physics.run_terms(missing, seed, scipy=scipy)["found"]
    assert set(found) == wrong_physics.TERMS[missing]["named"]
