"""Bad configuration meets one line per problem: file, key, value, what is allowed."""

import pytest

from hyco.config import ConfigurationError, check, parse


def test_an_unknown_key_names_file_key_value_and_what_is_allowed(problems):
    (line,) = problems(hybrid={"alhpa": 0.7})
    assert line.startswith("--params: hybrid.alhpa: unknown key (value 0.7); allowed: ")
    assert line.endswith("(did you mean alpha?)")


def test_a_wrong_value_names_the_file_it_stands_in(sources, parameters):
    content = sources()
    expected = r"^conf/base/parameters_hybrid\.yml: hybrid\.save_interval: 0: input should be greater than 0$"
    with pytest.raises(ConfigurationError, match=expected):
        check(parameters(hybrid={"save_interval": 0}), content)


def test_several_problems_are_told_at_once(problems):
    lines = problems(seed=-1, hybrid={"epochs": 0}, synthetic={"optimizer": "sdg"})
    assert len(lines) == 3
    allowed = "allowed: 'adam', 'adamw', 'sgd' or 'levenberg_marquardt'"
    assert any(f"synthetic.optimizer: 'sdg' is not allowed; {allowed}" in line for line in lines)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"equation": {"name": "burger"}}, "unknown equation 'burger'; available: advection"),
        (
            {"synthetic": {"network": {"name": "cnn"}}},
            "unknown network 'cnn'; available: dilated_resnet, fno, gated, mlp, pseudospectral, resnet, unet",
        ),
        ({"observation": {"space": {"mode": "half"}}}, "mode 'half' is not allowed; allowed: 'full', 'range'"),
        ({"observation": {"test_sim": [0]}}, "simulation 0 is in train_sim and again in test_sim"),
        ({"observation": {"test_sim": [99]}}, "simulation 99 does not exist; generation.simulations is 8: 0 to 7"),
        ({"hybrid": {"num_predict_steps": 999}}, "999 is longer than a simulation; allowed: 1 to generation.steps"),
        ({"hybrid": {"synthetic": {"num_predict_steps": 3}}}, "3 is not allowed here; set hybrid.num_predict_steps"),
        ({"hybrid": {"warmup_epochs": 999}}, "999 is more than hybrid.epochs = 40"),
        ({"evaluation": {"simulation": 9}}, "9 is no position in observation.test_sim"),
        ({"evaluation": {"channel": 1}}, "evaluation.channel: 1 is no channel of burgers; allowed: 0 (velocity_x)"),
        ({"evaluation": {"frames_per_second": 0.001}}, "frames_per_second: 0.001: input should be greater than or"),
        ({"evaluation": {"channel": "0"}}, "evaluation.channel: '0': input should be a valid integer"),
        ({"seed": "3"}, "seed: '3': input should be a valid integer"),
        ({"seed": 3.0}, "seed: 3.0: input should be a valid integer"),
        ({"threads": "1"}, "threads: '1': input should be a valid integer"),
        ({"resume": "no"}, "resume: 'no': input should be a valid boolean"),
        ({"compare": {"methods": "none"}}, "compare: methods is empty and there are no variants: nothing to compare"),
        (
            {"hybrid": {"correction": True, "alpha": 0.9}, "compare": {"methods": ["hybrid_auto"]}},
            "compare.methods: hybrid_auto cannot be: hybrid: correction trains on real data alone: alpha: auto",
        ),
        (
            {"synthetic": {"network": {"name": "fno", "modes": 65}}},
            "synthetic.network.modes: 65 is more than 128 cells (periodic) can hold; allowed: 1 to 64",
        ),
        (
            {"hybrid": {"synthetic": {"network": {"name": "fno", "modes": 65}}}},
            "hybrid.synthetic.network.modes: 65 is more than 128 cells (periodic) can hold; allowed: 1 to 64",
        ),
        ({"experiment": "../up"}, "'../up'"),
        ({"generation": {"steps": 9}}, "indices holds 15, the last state is 9"),
        ({"observation": {"space": {"mode": "points", "count": 999}}}, "count is 999, but the grid has 128 cells"),
        (
            {"observation": {"space": {"mode": "range", "x": [20.0, 30.0]}}},
            "observation.space: no cell lies there; the domain is x from 0 to 10",
        ),
        ({"observation": {"space": {"mode": "range", "x": [5.0, 3.0]}}}, "observation.space: no cell lies there"),
        ({"observation": {"space": {"mode": "center", "fraction": 0.001}}}, "observation.space: no cell lies there"),
        (
            {"physical": {"initial_state": {"mean": {"velocity": 1.0}}}},
            "physical.initial_state: 'velocity' is no channel of burgers; it has: velocity_x",
        ),
        (
            {"generation": {"initial_state": {"velocity": "sin(x)"}}},
            "generation.initial_state.velocity: is no channel of burgers; it has: velocity_x",
        ),
        ({"equation": "heat"}, "equation: 'heat' is not allowed; allowed: keys with values"),
        (
            {"observation": {"space": {"mode": "samples", "count": 10, "region": {"x": [0.0, 99.0]}}}},
            "observation.space: observation.space.region.x is [0, 99]; allowed: two growing numbers",
        ),
        (
            {"observation": {"space": {"mode": "moving", "count": 3, "path": {"x": "x1"}}}},
            "observation.space.path: 'x1': unknown name x1; allowed: t, x0, y0, z0",
        ),
        (
            {"observation": {"space": {"mode": "samples", "count": 10, "at": "walls"}}},
            "observation.space.at: 'walls' is not allowed; allowed: 'cells' or 'anywhere'",
        ),
        ({"physical": {"num_predict_steps": 4}}, "4 is too short: observation.time has no state in the first 4 steps"),
        ({"equation": {"domain": {"y": {"size": 1.0}}}}, "is missing"),
    ],
)
def test_each_mistake_has_a_message_that_says_what_is_allowed(changes, expected, problems):
    assert any(expected in line for line in problems(**changes))


def test_a_missing_section_is_a_problem_and_not_a_crash(parameters):
    broken = parameters()
    del broken["equation"]
    with pytest.raises(ConfigurationError, match="equation: is missing"):
        parse(broken)


def test_a_limit_that_is_taken_from_another_key_is_not_complained_of_twice(problems):
    (line,) = problems(hybrid={"sequential": True}, physical={"epochs": 0})
    assert "physical.epochs: 0" in line
    lines = problems(hybrid={"sequential": True, "calibration_iterations": 0}, physical={"epochs": 0})
    assert len(lines) == 2


@pytest.mark.parametrize("value", [2, -0.1, "often"])
def test_alpha_is_a_number_from_0_to_1_or_auto(value, parameters, problems):
    (line,) = problems(hybrid={"alpha": value})
    assert line == f"--params: hybrid.alpha: {value!r} is not allowed; allowed: a number from 0 to 1, or auto"
    assert parse(parameters(hybrid={"alpha": "auto"})).hybrid.alpha == "auto"
    assert parse(parameters(hybrid={"alpha": 1})).hybrid.alpha == 1


def test_where_measurements_are_wrong_nothing_else_is_complained_of(sources, parameters):
    """What the file would have filled in is missing only because it could not be read."""
    wrong = parameters(measurements={"file": "mine.csv", "axes": {"x": "x"}, "fields": {"velocity x": "u"}, "std": -1})
    with pytest.raises(ConfigurationError) as caught:
        check(wrong | {"generation": {}}, sources())
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == ["measurements.std"]
