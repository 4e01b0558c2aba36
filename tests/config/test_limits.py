"""Values that no section may have, refused before any section computes with them."""

import math

import pytest

from hyco.config import data_bytes, mistakes_in


def nested(key, value):
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("synthetic.learning_rate", math.inf, "inf is not allowed; allowed: finite numbers"),
        ("synthetic.learning_rate", 1e300, "1e+300 is too large; allowed: up to 1000"),
        ("synthetic.weight_decay", math.nan, "nan is not allowed"),
        ("synthetic.epochs", 10**400, "a number of 401 digits is too large"),
        ("seed", 2**63, "is too large"),
        ("observation.noise", 1e9, "1e+09 is too large; allowed: up to 1e+06"),
        ("generation.steps", 10**9, "is too large"),
        ("equation.domain.x.resolution", 10**7, "is too large; allowed: up to 100000"),
        ("equation.domain.x.size", math.inf, "inf is not allowed"),
        ("equation.dt", -math.inf, "-inf is not allowed"),
        ("equation.domain.x.size", 1e-300, "1e-300 is too small; allowed: 0, or from 1e-50"),
        ("equation.parameters.viscosity", 1e31, "1e+31 is too large; allowed: up to 1e+30"),
        ("synthetic.network.filters", 10**6, "is too large; allowed: up to 8192"),
        ("threads", 10**5, "is too large; allowed: up to 1024"),
        ("experiment", "x" * 101, "it has 101 characters; allowed: up to 100"),
        ("notes", "x" * 20_000, "it has 20000 characters"),
        ("observation.train_sim", [0, math.inf], "inf is not allowed"),
        ("notes", "a\0b", "'a\\x00b' is not allowed; allowed: characters of Unicode"),
        ("hybrid.checkpoint_dir", "a\ud800", "'a\\ud800' is not allowed"),
        ("x" * 101, 1, "a key has more than 100 characters"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_beyond_all_limits_is_the_only_mistake(parameters, key, value, text):
    (mistake,) = mistakes_in(parameters(**nested(key, value)))
    assert text in mistake[1]
    assert mistake[0][: len(key.split("."))] == tuple(key.split("."))


@pytest.mark.parametrize(
    "key", ["synthetic.learning_rate", "synthetic.epochs", "equation.dt", "generation.simulations", "observation.noise"]
)
@pytest.mark.parametrize("value", [True, False])
def test_true_and_false_are_no_numbers(parameters, key, value):
    found = [(key, text) for key, text in mistakes_in(parameters(**nested(key, value)))]
    assert any(".".join(map(str, where)) == key for where, _ in found)
    if value:
        assert (tuple(key.split(".")), "true is not allowed; allowed: a number") in found


def test_true_and_false_are_themselves_where_they_are_meant(parameters):
    assert (
        mistakes_in(parameters(resume=True, synthetic={"use_sliding_window": True}, hybrid={"correction": False})) == []
    )


def test_sections_that_lie_too_deep_are_told(parameters):
    deep = {}
    for _ in range(200):
        deep = {"x": deep}
    (mistake,) = mistakes_in(parameters(equation=deep))
    assert "more than 30 deep" in mistake[1]


def test_parameters_of_an_equation_have_names_of_their_own(parameters):
    """`size` there is no size of a domain."""
    found = mistakes_in(parameters(equation={"parameters": {"size": 1e16}}))
    assert found
    assert all("too large" not in text for _, text in found)


def test_long_values_are_shortened(parameters):
    (mistake,) = mistakes_in(parameters(device="x" * 5000))
    assert len(mistake[1]) < 300
    assert " … " in mistake[1]


def test_data_that_this_machine_cannot_hold_are_refused(parameters, monkeypatch):
    assert mistakes_in(parameters()) == []
    monkeypatch.setattr("hyco.config.rules.memory.memory_bytes", lambda: 2**20)
    ((key, text),) = mistakes_in(
        parameters(generation={"simulations": 100}, equation={"domain": {"x": {"resolution": 4096}}})
    )
    assert key == ("generation",)
    assert "the data need at least" in text
    assert "this machine has 0.000977 GB" in text


def test_data_larger_than_memory_are_accepted_where_they_stay_on_disk(parameters, monkeypatch):
    monkeypatch.setattr("hyco.config.rules.memory.memory_bytes", lambda: 16 * 2**30)
    many = {
        "generation": {"simulations": 1000, "steps": 40, "chunk": 8},
        "equation": {"domain": {"x": {"resolution": 512}}},
    }
    many["equation"]["domain"]["y"] = {"size": 10.0, "resolution": 256}
    many |= {"observation": {"train_sim": list(range(10, 1000)), "val_sim": [0, 1], "test_sim": [2]}}
    ((key, text),) = mistakes_in(parameters(**many))
    assert key == ("generation",)
    assert "the data of a network alone may be larger than memory, see compute.on_disk" in text
    on_disk = parameters(**many, compute={"on_disk": True})
    assert mistakes_in(on_disk) == []
    state = 2 * 512 * 256 * 41  # numbers of a simulation
    assert data_bytes(on_disk) == 1000 * state * 8 + 992 * state * 9


def test_a_network_that_no_memory_holds_is_refused_and_a_small_one_is_not_built(parameters, monkeypatch):
    large = {"name": "resnet", "filters": 8192, "blocks": 256}
    ((key, text),) = mistakes_in(parameters(synthetic={"network": large}))
    assert key == ("synthetic", "network")
    # 256 times two convolutions of 5 times 8192² weights in single precision, four times: 2560 GB.
    assert text.startswith("its training needs at least 2.56e+03 GB of memory for its weights, this machine has")
    monkeypatch.setattr("torch.device", lambda *_: pytest.fail("a small one is built"))
    assert mistakes_in(parameters(synthetic={"network": {"name": "fno"}})) == []


@pytest.mark.parametrize("key", ["synthetic", "hybrid"])
def test_derivatives_that_no_memory_holds_are_refused(parameters, monkeypatch, key):
    few = {"network": {"name": "pseudospectral", "degree": 2}, "optimizer": "levenberg_marquardt", "batch_size": 8}
    own = {"synthetic": few} if key == "synthetic" else {"hybrid": {"synthetic": few}}
    given = {"generation": {"simulations": 10, "steps": 40}, **own}
    given["observation"] = {"train_sim": list(range(8)), "val_sim": [8], "test_sim": [9]}
    assert mistakes_in(parameters(**given)) == []
    given["equation"] = {"domain": {"x": {"resolution": 2**16}}}
    monkeypatch.setattr("hyco.config.rules.memory.memory_bytes", lambda: 2**26)
    found = dict(mistakes_in(parameters(**given)))
    text = found["synthetic", "batch_size"] if key == "synthetic" else found["hybrid", "synthetic", "batch_size"]
    assert text.startswith("levenberg_marquardt holds the derivatives of a batch's errors by each of 9 weights, at ")
    assert "lower batch_size" in text
    given["equation"]["boundary"] = {"x": 0.0}
    assert not any(key[-1] == "batch_size" for key, _ in mistakes_in(parameters(**given)))
