"""What `hyco check` counts of the time of a training."""

from functools import reduce
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from hyco.cli import cost
from hyco.cli.cost import _may_look_for_terms
from hyco.config import parse
from hyco.equations.registry import build_equation
from hyco.sections import merge
from hyco.training.physical import PhysicalConfig


@pytest.mark.parametrize(
    ("physical", "hybrid", "static", "counted"),
    [
        ({}, {}, False, False),
        ({"missing_terms": True}, {}, False, True),
        ({}, {"strategy": "auto"}, False, True),
        ({}, {"looks_for_terms": True}, False, True),
        ({"missing_terms": True}, {"strategy": "auto"}, True, False),
        ({"missing_terms": True, "loss": "huber"}, {"strategy": "auto"}, False, False),
    ],
    ids=["not asked for", "physics", "auto", "correction", "no time", "robust"],
)
def test_a_search_for_terms_is_counted_where_it_is_asked_for_and_can_be_made(physical, hybrid, static, counted):
    unknown = [{"name": "diffusivity", "initial_guess": 0.1, "bounds": [0.01, 1.0]}]
    both = PhysicalConfig.model_validate({"learnable_parameters": unknown, "num_predict_steps": 1} | physical)
    own = SimpleNamespace(**{"strategy": None, "looks_for_terms": False, "physical": both} | hybrid)
    equation = SimpleNamespace(config=SimpleNamespace(is_static=static))
    assert _may_look_for_terms(SimpleNamespace(physical=both, hybrid=own), equation) == counted


CONF = Path(__file__).parents[2] / "conf"
FILES = [*sorted((CONF / "base").glob("parameters*.yml")), CONF / "burgers_1d" / "parameters.yml"]


def test_a_step_of_levenberg_marquardt_passes_forward_twice_for_each_weight(monkeypatch):
    monkeypatch.setattr(cost, "_seconds", lambda call: 3.0)
    network, seconds = {"name": "pseudospectral"}, []
    for optimizer in ("adam", "levenberg_marquardt"):
        changes = {"experiment": "burgers_1d", "synthetic": {"network": network, "optimizer": optimizer}}
        c = parse(reduce(merge, [*(yaml.safe_load(f.read_text()) for f in FILES), changes]))
        equation = build_equation(c.equation)
        seconds.append(cost.network_seconds(c, equation, 2))
    times = (2 * cost.weight_count(c, equation) + 2) / 3
    assert seconds[1].alone / seconds[0].alone == pytest.approx(times)
    assert seconds[1].hybrid / seconds[0].hybrid == pytest.approx(times)
