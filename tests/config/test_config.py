"""Bad configuration meets one line per problem: file, key, value, what is allowed."""

import json
from pathlib import Path

import pytest
import yaml

from hyco.config import ConfigurationError, check, check_origin, contenders, parse, parse_device, resolve_hybrid
from hyco.equations.registry import build_equation
from hyco.sections import merge
from hyco.stepping.generation import generate

CONF = Path(__file__).parents[2] / "conf"
EXPERIMENTS = sorted(p.name for p in CONF.iterdir() if (p / "parameters.yml").exists() and p.name != "base")


def sources(experiment="burgers_1d"):
    files = [*sorted((CONF / "base").glob("parameters*.yml")), CONF / experiment / "parameters.yml"]
    return {str(f.relative_to(CONF.parent)): yaml.safe_load(f.read_text()) for f in files}


def parameters(environment="burgers_1d", **changes):
    merged = {}
    for content in sources(environment).values():
        merged = merge(merged, content)
    return merge(merged, {"experiment": environment} | changes)


def problems(**changes):
    with pytest.raises(ConfigurationError) as caught:
        check(parameters(**changes), sources() | {"--params": changes})
    return str(caught.value).splitlines()


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_is_valid(experiment):
    assert parse(parameters(experiment)).experiment == experiment


@pytest.mark.parametrize("experiment", ["inviscid_burgers", *(e for e in EXPERIMENTS if e.startswith("scarce_"))])
def test_the_data_of_every_default_seed_can_be_made(experiment):
    found = parse(parameters(experiment))
    for seed in found.compare.seeds:
        generate(build_equation(found.equation.model_dump()), found.generation, seed)


def test_the_two_named_examples_are_as_they_are_described():
    minimal, full = parse(parameters("minimal")), parse(parameters("full"))
    assert minimal.equation.grid.resolution == full.equation.grid.resolution == (128, 128)
    assert (minimal.observation.train_sim, minimal.hybrid.epochs, minimal.hybrid.num_predict_steps) == ([0], 10, 5)
    assert (full.observation.train_sim, full.observation.val_sim) == ([0, 1, 2, 3, 4], [5, 6])
    h = full.hybrid
    assert (h.epochs, h.num_predict_steps, h.alpha, h.interleave_frequency, h.warmup_epochs) == (100, 20, 0.6, 2, 10)
    s = h.synthetic
    assert (s.learning_rate, s.batch_size, s.optimizer, s.scheduler.name) == (1e-4, 16, "adam", "cosine")
    assert (s.weight_decay, s.use_sliding_window) == (1e-5, False)
    p = h.physical
    assert (p.method, p.abs_tol, p.max_iterations, p.suppress_convergence_errors) == ("L-BFGS-B", 1e-6, 5, True)
    assert (h.save_interval, h.save_best_only, h.validate_every, h.validation_rollout) == (10, True, 5, True)


def test_the_users_experiment_is_as_it_is_described():
    c = parse(parameters("burgers_2d"))
    assert c.equation.grid.resolution == (128, 128)
    assert (c.observation.train_sim, c.observation.val_sim, c.observation.test_sim) == ([0, 1, 2, 3, 4], [5], [6, 7])
    h = c.hybrid
    assert (h.epochs, h.num_predict_steps, h.alpha, h.interleave_frequency, h.warmup_epochs) == (50, 10, 0.5, 1, 5)
    assert (h.synthetic.learning_rate, h.synthetic.batch_size) == (1e-4, 16)


def test_an_unknown_key_names_file_key_value_and_what_is_allowed():
    (line,) = problems(hybrid={"alhpa": 0.7})
    assert line.startswith("--params: hybrid.alhpa: unknown key (value 0.7); allowed: ")
    assert line.endswith("(did you mean alpha?)")


def test_a_wrong_value_names_the_file_it_stands_in():
    content = sources()
    expected = r"^conf/base/parameters_hybrid\.yml: hybrid\.save_interval: 0: input should be greater than 0$"
    with pytest.raises(ConfigurationError, match=expected):
        check(parameters(hybrid={"save_interval": 0}), content)


def test_several_problems_are_told_at_once():
    lines = problems(seed=-1, hybrid={"epochs": 0}, synthetic={"optimizer": "sdg"})
    assert len(lines) == 3
    assert any("synthetic.optimizer: 'sdg' is not allowed; allowed: 'adam', 'adamw' or 'sgd'" in line for line in lines)


def test_a_bound_that_excludes_its_guess_is_told_once():
    wrong = [{"name": "viscosity", "initial_guess": 5.0, "bounds": [0.001, 0.1]}]
    (line,) = problems(physical={"learnable_parameters": wrong})
    assert "initial_guess 5.0 lies outside bounds [0.001, 0.1]" in line
    assert line.startswith("--params: physical.learnable_parameters.0: ")


def test_a_parameter_that_the_equation_does_not_have_is_refused():
    wrong = [{"name": "viscosty", "initial_guess": 0.1, "bounds": [0.01, 1.0]}]
    (line,) = problems(physical={"learnable_parameters": wrong})
    assert "'viscosty' is no parameter of burgers; it has: viscosity" in line


def test_bounds_beyond_what_is_stable_are_refused():
    wrong = [{"name": "viscosity", "initial_guess": 0.1, "bounds": [-0.5, 1.0]}]
    (line,) = problems(physical={"learnable_parameters": wrong})
    assert "[-0.5, 1.0] goes beyond what is stable; allowed: 0 to inf" in line


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"equation": {"name": "burger"}}, "unknown equation 'burger'; available: advection"),
        (
            {"synthetic": {"network": {"name": "cnn"}}},
            "unknown network 'cnn'; available: dilated_resnet, fno, mlp, resnet, unet",
        ),
        ({"observation": {"space": {"mode": "half"}}}, "mode 'half' is not allowed; allowed: 'full', 'range'"),
        ({"observation": {"test_sim": [0]}}, "simulation 0 is in train_sim and again in test_sim"),
        ({"observation": {"test_sim": [99]}}, "simulation 99 does not exist; generation.simulations is 8: 0 to 7"),
        ({"hybrid": {"num_predict_steps": 999}}, "999 is longer than a simulation; allowed: 1 to generation.steps"),
        ({"hybrid": {"synthetic": {"num_predict_steps": 3}}}, "3 is not allowed here; set hybrid.num_predict_steps"),
        ({"hybrid": {"warmup_epochs": 999}}, "999 is more than hybrid.epochs = 100"),
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
            {"hybrid": {"correction": True}, "compare": {"methods": ["hybrid_auto"]}},
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
def test_each_mistake_has_a_message_that_says_what_is_allowed(changes, expected):
    assert any(expected in line for line in problems(**changes))


def test_a_missing_section_is_a_problem_and_not_a_crash():
    broken = parameters()
    del broken["equation"]
    with pytest.raises(ConfigurationError, match="equation: is missing"):
        parse(broken)


def test_the_hybrids_parts_override_the_sections_of_their_name():
    resolved = resolve_hybrid(
        {"epochs": 7, "physical": {"max_iterations": 5}, "synthetic": {"learning_rate": 0.1}},
        {"learning_rate": 0.2, "batch_size": 4, "epochs": 1},
        {"max_iterations": None, "abs_tol": 1e-3},
    )
    assert resolved["synthetic"] == {"learning_rate": 0.1, "batch_size": 4, "epochs": 7}
    assert resolved["physical"] == {"max_iterations": 5, "abs_tol": 1e-3, "epochs": 7}


@pytest.mark.parametrize("order", [{"sequential": True}, {"correction": True}, {"correction": {}}])
def test_the_fit_before_the_network_has_the_limit_of_the_physics_alone(order):
    for own, physical, expected in (({}, {"epochs": 30}, 30), ({}, {}, 50), ({"calibration_iterations": 9}, {}, 9)):
        resolved = resolve_hybrid({"epochs": 7} | order | own, {}, physical)
        assert resolved["calibration_iterations"] == expected, "not that of the hybrid's epochs"


def test_a_limit_that_is_taken_from_another_key_is_not_complained_of_twice():
    (line,) = problems(hybrid={"sequential": True}, physical={"epochs": 0})
    assert "physical.epochs: 0" in line
    lines = problems(hybrid={"sequential": True, "calibration_iterations": 0}, physical={"epochs": 0})
    assert len(lines) == 2


def test_another_name_replaces_a_section_instead_of_mixing_keys():
    assert merge({"network": {"name": "unet", "levels": 3}}, {"network": {"name": "resnet"}}) == {
        "network": {"name": "resnet"}
    }


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert parse_device("auto").type == "cpu"
    with pytest.raises(ConfigurationError, match="'cuda' is not available here; use auto or cpu"):
        parse_device("cuda")


def test_an_evaluation_of_other_simulations_is_refused_and_of_the_users_own_is_not():
    made = {"equation": {"dt": 0.1, "domain": {1: 2}}, "generation": {"steps": 4}, "seed": 0}
    stored = {"origin": json.loads(json.dumps(made))}
    check_origin(stored, made)
    check_origin({"origin": made}, made)
    check_origin({"layout": {}}, made)
    with pytest.raises(ConfigurationError, match=r"\(equation\.dt: 0\.1 there, 0\.2 now; seed: 0 there, 5 now\)"):
        check_origin(stored, {**made, "equation": {**made["equation"], "dt": 0.2}, "seed": 5})


def test_simulations_may_be_evaluated_with_a_default_that_is_written_out():
    made = {name: parameters()[name] for name in ("equation", "generation", "seed")}
    given = {
        "equation": {**made["equation"], "boundary": "periodic", "dt": str(made["equation"]["dt"])},
        "generation": {"length_scale": 1.0, "amplitude": 1.0, "initial_state": {}, **made["generation"]},
    }
    check_origin({"origin": made}, {**made, **given})
    check_origin({"origin": {**made, **given}}, made)
    given["generation"]["amplitude"] = 2.0
    with pytest.raises(ConfigurationError, match=r"\(generation\.amplitude: [0-9.]+ there, 2\.0 now\)"):
        check_origin({"origin": made}, {**made, **given})


def test_what_the_physical_model_believes_is_checked_against_its_own_equation():
    (line,) = problems(physical={"equation": {"max_spede": 2.0}})
    assert "physical.equation.max_spede: unknown key (value 2.0)" in line
    (line,) = problems(physical={"resolution": {"x": 100}})
    assert "physical.resolution: 100 cells along x do not divide the data's 128; allowed: 4, 8, 16" in line
    (line,) = problems(hybrid={"physical": {"equation": {"name": "gray_scot"}}})
    assert "hybrid.physical.equation: unknown equation 'gray_scot'; available: advection" in line
    other = {"name": "inviscid_burgers", "max_speed": 6.0, "parameters": {"potential": 0.0}}
    (line,) = problems(physical={"equation": other})
    assert "learnable_parameters.0.name: 'viscosity' is no parameter of inviscid_burgers; it has: potential" in line


def test_a_physical_model_may_have_another_equation_and_grid_than_the_data():
    changes = {"equation": {"parameters": {"convection": 0.9}}, "resolution": {"x": 32}}
    c = parse(parameters(physical=changes))
    assert c.hybrid.physical.resolution == {"x": 32}
    assert c.equation.grid.resolution == (128,)


MLP = {"synthetic": {"network": {"name": "mlp"}}}
WHOLE = {"synthetic": {**MLP["synthetic"], "num_predict_steps": 40}, "hybrid": {"num_predict_steps": 40}}
ONE_START = {"generation": {"initial_state": {"velocity_x": "sin(x)"}}}


def test_a_coordinate_network_is_for_a_single_trajectory_as_a_whole():
    lines = problems(**WHOLE)
    assert lines == [
        "--params: synthetic.network.name: mlp maps (x, t) to one trajectory, but the simulations start from random "
        "states: give velocity_x in generation.initial_state, or use a network that steps states"
    ]
    lines = problems(**ONE_START, **MLP)
    assert [line.split(": ", 1)[1] for line in lines] == [
        f"{section}.num_predict_steps: 5 is a part of the trajectory, of which mlp predicts all: set it to "
        "generation.steps = 40"
        for section in ("synthetic", "hybrid")
    ]
    assert parse(parameters(**ONE_START, **WHOLE)).synthetic.network["width"] == 64


def test_keys_of_stepping_networks_mean_nothing_to_a_coordinate_network():
    changes = merge(WHOLE, {"synthetic": {"input_noise": 0.1}, "hybrid": {"interaction": {"count": 8}}})
    lines = [line.split(": ", 1)[1] for line in problems(**ONE_START, **changes)]
    assert lines == [
        "synthetic.input_noise: is for networks that step states, not for mlp; allowed: 0.0",
        "hybrid.interaction.count: 8 fresh starts are for networks that step states; allowed: 0 (see ghost_points)",
    ]


def test_a_coordinate_network_is_for_centred_fields_and_static_problems_need_no_start():
    with pytest.raises(ConfigurationError, match="mlp is for centred fields; smoke has staggered ones"):
        parse(parameters("smoke", **MLP))
    assert parse(parameters("darcy", **MLP)).hybrid.synthetic.network["name"] == "mlp"


@pytest.mark.parametrize("value", [2, -0.1, "often"])
def test_alpha_is_a_number_from_0_to_1_or_auto(value):
    (line,) = problems(hybrid={"alpha": value})
    assert line == f"--params: hybrid.alpha: {value!r} is not allowed; allowed: a number from 0 to 1, or auto"
    assert parse(parameters(hybrid={"alpha": "auto"})).hybrid.alpha == "auto"
    assert parse(parameters(hybrid={"alpha": 1})).hybrid.alpha == 1


def test_a_static_problem_has_no_fresh_initial_states():
    with pytest.raises(ConfigurationError, match=r"interaction\.count: 4 is not allowed; allowed: 0: darcy is"):
        parse(parameters("darcy", hybrid={"interaction": {"count": 4}}))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"interaction": {"steps": 1}}, "hybrid.interaction.steps: 1 is shorter than a window"),
        ({"interaction": {"source": "distribution"}}, "hybrid.interaction: source: distribution needs length_scale"),
        ({"observed_steps": 999}, "hybrid.observed_steps: 999 is longer than a simulation"),
        ({"synthetic": {"early_stopping": 3}}, "hybrid.synthetic.early_stopping: 3 is not allowed here"),
    ],
)
def test_keys_of_the_interaction_are_checked(changes, line):
    (found,) = problems(hybrid=changes)
    assert line in found


def test_early_stopping_is_a_key_of_networks_and_needs_validation():
    (line,) = problems(physical={"early_stopping": 3})
    assert "physical.early_stopping: unknown key" in line
    found = problems(observation={"val_sim": []}, hybrid={"early_stopping": 3}, synthetic={"early_stopping": 3})
    assert [line.split(": ")[1] for line in found] == ["synthetic.early_stopping", "hybrid.early_stopping"]
    assert all("needs validation simulations" in line for line in found)
    assert parse(parameters(hybrid={"early_stopping": 3})).hybrid.synthetic.early_stopping == 3


def test_observed_steps_without_an_observation_are_named():
    found = problems(hybrid={"observed_steps": 3})
    assert any("hybrid.observed_steps: 3 is too short: observation.time has no state" in line for line in found)


@pytest.mark.parametrize("correction", [True, {}])
def test_methods_that_a_correction_excludes_are_left_out_of_a_comparison_without_a_list(correction):
    found = parameters(hybrid={"correction": correction})
    parse(found)
    assert [c.name for c in contenders(found)] == ["persistence", "synthetic", "physical", "hybrid"]


def test_a_physics_informed_network_needs_a_fixed_regularisation_weight():
    coordinates = {
        "network": {"name": "mlp"},
        "num_predict_steps": 40,
    }
    field = {"name": "diffusivity", "kind": "field", "initial_guess": 0.1, "bounds": [0.01, 0.4]}
    learnt = [field | {"regularisation": {"weight": "discrepancy"}}]
    found = merge(
        parameters("heat"),
        {
            "generation": {"steps": 40, "initial_state": {"temperature": "sin(x)"}},
            "synthetic": coordinates,
            "physical": {"learnable_parameters": learnt},
            "hybrid": {"num_predict_steps": 40},
            "compare": {"methods": ["pinn"]},
        },
    )
    with pytest.raises(ConfigurationError, match=r"pinn needs a number as regularisation\.weight of diffusivity"):
        parse(found)
    # Who does not ask for one has none; a weight that is not given is chosen.
    for learnt in ([field | {"regularisation": {"weight": "discrepancy"}}], [field]):
        found["physical"]["learnable_parameters"] = learnt
        found["compare"]["methods"] = None
        parse(found)
        assert "pinn" not in [c.name for c in contenders(found)]
    found["physical"]["learnable_parameters"] = [field | {"regularisation": {"weight": 0.1}}]
    assert "pinn" in [c.name for c in contenders(found)]


def test_a_weight_to_be_chosen_needs_an_update_of_the_physical_model():
    changes = {
        "physical": {
            "learnable_parameters": [
                {"name": "forcing", "kind": "field", "initial_guess": 0.0},
                {"name": "viscosity", "initial_guess": 0.1, "bounds": [0.01, 0.2]},
            ]
        },
        "hybrid": {"epochs": 20, "warmup_epochs": 10, "interleave_frequency": 11},
    }
    changes["physical"]["learnable_parameters"][0]["regularisation"] = {"weight": "discrepancy"}
    with pytest.raises(ConfigurationError, match=r"hybrid\.epochs: 20 leaves .* of forcing .* viscosity .* = 21, or"):
        parse(merge(parameters("navier_stokes"), changes))
    changes["hybrid"]["interleave_frequency"] = 10
    parse(merge(parameters("navier_stokes"), changes))
