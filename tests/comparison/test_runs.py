"""Methods over seeds on a problem that trains in a second."""

import copy
import json
import math
import multiprocessing

import pytest
import torch

from hyco.comparison import CompareConfig, compare, markdown, one_run, runs
from hyco.comparison.data import data_of
from hyco.compute import ComputeConfig, Lost, open_engine, outcomes, work
from hyco.config import ConfigurationError, contenders, parse
from hyco.equations.registry import build_equation
from hyco.evaluation import evaluated_models, roll_out_methods
from hyco.observations import observe
from hyco.report import report
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.checkpoints import ResumeError
from hyco.training.final import final_synthetic_model
from hyco.training.synthetic import train_synthetic

PARAMETERS = {
    "experiment": "small",
    "equation": {
        "name": "burgers",
        "domain": {"x": {"size": 4.0, "resolution": 16}},
        "dt": 0.05,
        "max_speed": 5.0,
        "parameters": {"viscosity": 0.1},
    },
    "generation": {"simulations": 4, "steps": 6, "length_scale": 0.8, "amplitude": 0.8},
    "observation": {"train_sim": [2], "val_sim": [0], "test_sim": [1, 3], "noise": 0.01},
    "synthetic": {"network": {"name": "resnet", "filters": 4, "blocks": 1}, "epochs": 2, "num_predict_steps": 3},
    "physical": {
        "learnable_parameters": [{"name": "viscosity", "initial_guess": 0.2, "bounds": [0.02, 0.5]}],
        "num_predict_steps": 6,
    },
    "hybrid": {
        "epochs": 2,
        "num_predict_steps": 3,
        "alpha": 0.7,
        "warmup_epochs": 1,
        "physical": {"max_iterations": 2, "suppress_convergence_errors": True},
    },
}
ALL = ["persistence", "synthetic", "physical", "sequence", "hybrid", "hybrid_auto"]


def section(**keys):
    return {**PARAMETERS, "compare": {"draws": 100, **keys}}


def last(parameters, **options):
    """The finished comparison."""
    *_, found = steps(parameters, **options)
    return found


def steps(parameters, workers=1, tries=3, **options):
    config, compute = CompareConfig.model_validate(parameters["compare"]), ComputeConfig(workers=workers, tries=tries)
    given = {"experiment": "small", "seed": 0, "device": "cpu", "compute": compute}
    return compare(contenders(parameters), config, **given, **options)


def without_times(comparison):
    """The numbers that must be repeatable to the bit."""
    kept = copy.deepcopy(comparison["runs"])
    for record in kept:
        del record["training_seconds"], record["wall_seconds"]
    return kept


@pytest.fixture(scope="module")
def whole():
    return last(section(seeds=[0, 3]))


def test_every_method_and_seed_is_there_with_its_errors_and_estimates(whole):
    found = {(r["method"], r["seed"]): r for r in whole["runs"]}
    pairs = [f"{name}_{part}" for name in ALL[3:] for part in ("synthetic", "physical")]
    assert sorted(found) == sorted((method, seed) for method in (*ALL[:3], *pairs) for seed in (0, 3))
    assert list(whole["summary"]["methods"]) == [*ALL[:3], *pairs]
    for (method, _), record in found.items():
        assert record["status"] == "finished"
        assert len(record["per_step"]) == 6
        assert record["nrmse"] == pytest.approx(sum(record["per_step"]) / 6)
        assert math.isfinite(record["nrmse_all"])
        assert record["nrmse_all"] != record["nrmse"]
        assert ("viscosity" in record["parameters"]) == method.endswith("physical")
    assert found["physical", 0]["parameters"]["viscosity"]["true"] == 0.1
    assert found["synthetic", 0]["nrmse"] != found["synthetic", 3]["nrmse"]
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole


def test_the_numbers_of_a_method_are_those_of_its_own_pipeline(whole):
    c = parse(PARAMETERS)
    equation = build_equation(c.equation)
    trajectories = generate(equation, c.generation, 3)
    observations = observe(trajectories, c.observation, 3)
    *_, (checkpoint, _) = train_synthetic(observations, c.synthetic, 3, configuration={}, device=torch.device("cpu"))
    models = evaluated_models({"synthetic": final_synthetic_model(checkpoint)}, equation)
    states = trajectories.tensors["trajectories"]
    expected = report("", 3, equation, "", roll_out_methods(states, [1, 3], equation, models), models)["methods"]
    found = {r["method"]: r for r in whole["runs"] if r["seed"] == 3}
    for method in ("persistence", "synthetic"):
        assert found[method]["per_step"] == expected[method]["nrmse"]["per_step"]


@pytest.mark.slow
def test_two_processes_find_what_one_finds_also_where_both_are_killed_twice(whole, caplog):
    begun = steps(section(seeds="3-3", methods="synthetic+physical"), workers=2, tries=6)
    # After the data were looked at, and once more. A training may be handed to both of the dead, and die itself.
    for number, each in enumerate(begun):
        found = each
        if number < 2:
            for process in multiprocessing.active_children():
                process.kill()
    alone = [r for r in without_times(whole) if r["seed"] == 3 and r["training"] in ("synthetic", "physical")]
    assert without_times(found) == alone
    assert 2 <= caplog.text.count("It is begun again") <= 6


def measured():
    """What was measured, which all seeds learn from."""
    c = parse(PARAMETERS)
    return observe(generate(build_equation(c.equation), c.generation, 5), c.observation, 5).to_bundle()


@pytest.mark.slow
def test_two_processes_learn_from_what_was_measured_as_one_does():
    options = {"seeds": [0, 1], "methods": "synthetic"}
    side_by_side = last(section(**options), workers=2, measured=measured())
    assert without_times(side_by_side) == without_times(last(section(**options), measured=measured()))


def test_what_workers_get_is_text_and_what_was_measured_is_a_file(tmp_path, monkeypatch):
    seen = []
    as_text = work.as_text
    monkeypatch.setattr(work, "as_text", lambda *given, **how: seen.append(as_text(*given, **how)) or seen[-1])
    last(section(seeds=[0, 1], methods="persistence"), measured=measured(), folder=tmp_path / "results")
    files = {json.loads(text)["arguments"]["measured"] for text in seen}
    assert len(seen) == 3  # the data, which are the same for all seeds, and two runs
    assert len(files) == 1
    assert not (tmp_path / "results").exists()  # the comparison has all of it


def test_what_ended_is_not_run_again_also_where_the_comparison_did_not_hear_of_it(tmp_path, monkeypatch):
    asked = section(seeds=[0, 1], methods="persistence+synthetic")
    begun = steps(asked, folder=tmp_path / "results")
    first, *_ = (next(begun) for _ in range(3))  # as if the parent had been killed before it wrote the later ones
    begun.close()
    done = []
    run = one_run.run
    monkeypatch.setattr(one_run, "run", lambda c, seed, *rest: done.append((c.name, seed)) or run(c, seed, *rest))
    finished = last(asked, folder=tmp_path / "results", earlier=json.loads(json.dumps(first)), resume=True)
    assert done == [("persistence", 1), ("synthetic", 1)]
    done.clear()
    assert without_times(last(asked, folder=tmp_path / "results")) == without_times(finished)
    assert len(done) == 4  # without resume, anew


def test_a_run_whose_workers_die_is_told_and_begun_again_with_resume(monkeypatch):
    parameters = section(seeds=[0, 1], methods="persistence+synthetic")

    def lossy(engine, pieces, folder=None):
        for i, result in outcomes(engine, pieces, folder=folder):
            yield i, Lost("its process was ended") if pieces[i].label == "synthetic, seed 1" else result

    with monkeypatch.context() as patched:
        patched.setattr(runs, "outcomes", lossy)
        found = last(parameters)
    lost = [r for r in found["runs"] if r["status"] != "finished"]
    assert [(r["method"], r["seed"], r["status"], r["reason"]) for r in lost] == [
        ("synthetic", 1, "lost", "its process was ended")
    ]
    assert found["summary"]["methods"]["synthetic"]["failed"] == 1
    assert "| synthetic | 1 | its process was ended |" in markdown(found)
    mended = last(parameters, earlier=json.loads(json.dumps(found)), resume=True)
    assert without_times(mended) == without_times(last(parameters))


def beside_a_long_training(engine):
    """The records of a short training and of one that takes hours, from up to two processes."""
    parameters = {
        **section(methods="persistence+synthetic"),
        "synthetic": {**PARAMETERS["synthetic"], "epochs": 1_000_000},
    }
    return outcomes(engine, [runs._piece(contender, 0, "cpu", None) for contender in contenders(parameters)])


@pytest.mark.slow
def test_a_comparison_that_is_left_ends_the_trainings_that_go_on_beside_it():
    with open_engine(ComputeConfig(workers=2)) as engine:
        i, records = next(beside_a_long_training(engine))
        assert (i, records[0]["method"]) == (0, "persistence")
        assert multiprocessing.active_children()  # one or two: the first may have been free before the second was asked
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_killed_comparison_goes_on_where_it_was_and_runs_nothing_twice(whole, monkeypatch):
    begun = steps(section(seeds=[0, 3]))
    for _ in range(5):  # the first is there before any training
        partial = next(begun)
    begun.close()
    assert len({(r["training"], r["seed"]) for r in partial["runs"]}) == 4
    done = []
    run = one_run.run
    monkeypatch.setattr(one_run, "run", lambda c, seed, *rest: done.append((c.name, seed)) or run(c, seed, *rest))
    stored = json.loads(json.dumps(partial))
    finished = last(section(seeds=[0, 3]), earlier=stored, resume=True)
    assert done == [(name, 0) for name in ALL[4:]] + [(name, 3) for name in ALL]
    assert without_times(finished) == without_times(whole)
    assert finished["configuration_digest"] == whole["configuration_digest"]
    done.clear()
    assert last(section(seeds=[0, 3]), earlier=finished, resume=True)["runs"] == finished["runs"]
    # Other methods and seeds join those that are there.
    more = last(section(seeds=[5], methods=["persistence"]), earlier=finished, resume=True)
    assert done == [("persistence", 5)]
    assert len(more["runs"]) == len(finished["runs"]) + 1
    assert more["seeds"] == [0, 3, 5]


def test_another_configuration_is_refused_by_the_name_of_its_key(whole):
    parameters = section(seeds=[0, 3])
    parameters["hybrid"] = {**PARAMETERS["hybrid"], "epochs": 9}
    with pytest.raises(ResumeError, match=r"hybrid.epochs: 2 in the comparison, 9 now.*resume=false") as caught:
        last(parameters, earlier=whole, resume=True)
    assert str(caught.value).count("hybrid.epochs") == 1
    parameters = section(seeds=[0, 3], methods="persistence")
    parameters["generation"] = {**PARAMETERS["generation"], "steps": 7}
    with pytest.raises(ResumeError, match=r"generation.steps: 6 in the comparison, 7 now"):
        last(parameters, earlier=whole, resume=True)


def test_a_failed_training_is_recorded_with_its_reason_and_the_others_go_on():
    parameters = section(seeds=[0], methods=["persistence", "physical", "synthetic"])
    parameters["physical"] = {**PARAMETERS["physical"], "epochs": 1}
    found = {r["method"]: r for r in last(parameters)["runs"]}
    assert found["physical"]["status"] == "failed"
    assert found["physical"]["reason"].startswith("NotConverged: physical: ")
    assert found["physical"]["nrmse"] is None
    assert found["synthetic"]["status"] == "finished"


@pytest.mark.slow
def test_data_that_cannot_be_made_are_told_before_the_first_training(monkeypatch):
    monkeypatch.setattr(one_run, "run", lambda *_: pytest.fail("a training has begun"))
    equation, generation = PARAMETERS["equation"], GenerationConfig.model_validate(PARAMETERS["generation"])
    found = [generate(build_equation(equation), generation, seed).tensors["trajectories"] for seed in (0, 1)]
    speeds = [float(trajectories.abs().max()) for trajectories in found]
    slow, fast = sorted((0, 1), key=speeds.__getitem__)
    parameters = section(seeds=[slow, fast], methods=["persistence"])
    parameters["equation"] = {**equation, "max_speed": sum(speeds) / 2}
    with pytest.raises(ValueError, match=f"the data of seed {fast}: the velocity reaches"):
        last(parameters)


def open_range(**keys):
    parameters = section(**keys)
    parameters["equation"] = {k: v for k, v in PARAMETERS["equation"].items() if k != "max_speed"}
    return parameters


def test_with_a_range_that_is_auto_all_have_the_data_of_the_pipelines_and_no_range_of_the_truth():
    parameters = open_range(methods=["persistence", "physical"])
    generation = GenerationConfig.model_validate(parameters["generation"])
    for seed in (0, 1):
        expected = generate(build_equation(parameters["equation"]), generation, seed).tensors["trajectories"]
        found = [data_of(contender.sections, seed, None) for contender in contenders(parameters)]
        assert len(found) == 2
        for data in found:
            assert data.equation.config.max_speed == "auto"
            assert torch.equal(data.trajectories, expected)
            assert torch.equal(data.observations.values, found[0].observations.values)


@pytest.mark.slow
def test_with_a_range_that_is_auto_no_seed_fails():
    records = last(open_range(seeds=[0, 1], methods=["persistence", "physical", "hybrid"]))["runs"]
    assert {record["status"] for record in records} == {"finished"}


@pytest.mark.slow
def test_one_of_two_models_may_fail_alone(monkeypatch):
    evaluate = one_run._evaluate

    def broken(contender, part, *rest):
        if part == "synthetic":
            raise FloatingPointError("the test rollout is not finite")
        return evaluate(contender, part, *rest)

    monkeypatch.setattr(one_run, "_evaluate", broken)
    found = last(section(seeds=[0], methods="hybrid"))
    assert [(r["method"], r["status"]) for r in found["runs"]] == [
        ("hybrid_synthetic", "failed"),
        ("hybrid_physical", "finished"),
    ]
    assert found["runs"][0]["reason"] == "FloatingPointError: the test rollout is not finite"


def test_a_rollout_whose_error_overflows_is_a_failure(monkeypatch):
    roll_out = one_run.roll_out_methods

    def huge(trajectories, simulations, equation, models, starts=None):
        found = roll_out(trajectories, simulations, equation, models, starts)
        return {name: states * 1e200 if name == "persistence" else states for name, states in found.items()}

    monkeypatch.setattr(one_run, "roll_out_methods", huge)
    (record,) = last(section(seeds=[0], methods="persistence"))["runs"]
    assert record["status"] == "failed"
    assert record["reason"].startswith("NotFiniteError: the test rollout of persistence is so large")


def test_a_variant_differs_in_its_overrides_alone():
    variants = {
        "unet": {"method": "synthetic", "overrides": {"synthetic": {"network": {"name": "unet", "levels": 1}}}},
        "trusting": {"method": "hybrid", "overrides": {"hybrid": {"alpha": 0.9}, "observation": {"noise": 0.05}}},
    }
    parameters = section(methods="none", variants=variants)
    parse(parameters)
    unet, trusting = contenders(parameters)
    assert unet.sections["synthetic"] == {**PARAMETERS["synthetic"], "network": {"name": "unet", "levels": 1}}
    assert "hybrid" not in unet.sections
    assert trusting.sections["hybrid"]["alpha"] == 0.9
    assert trusting.sections["hybrid"]["synthetic"]["network"]["name"] == "resnet"
    assert trusting.sections["observation"] == {**PARAMETERS["observation"], "noise": 0.05}
    assert list(trusting.results) == ["trusting_synthetic", "trusting_physical"]


def test_a_fixed_alpha_stands_beside_the_automatic_one_whatever_the_experiment_has():
    parameters = section(methods="sequence+hybrid+hybrid_auto", alpha=0.3)
    alphas = {c.name: c.sections["hybrid"]["alpha"] for c in contenders(parameters)}
    assert alphas == {"sequence": 0.7, "hybrid": 0.7, "hybrid_auto": "auto"}
    parameters["hybrid"] = {**PARAMETERS["hybrid"], "alpha": "auto"}
    alphas = {c.name: c.sections["hybrid"]["alpha"] for c in contenders(parameters)}
    assert alphas == {"sequence": 0.3, "hybrid": 0.3, "hybrid_auto": "auto"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"seeds": "1,2"}, "compare.seeds: '1,2' is neither a list nor a text like 0-4"),
        ({"seeds": [1, 1]}, "compare.seeds: 1 is there twice"),
        ({"seeds": []}, "compare: seeds is empty; give at least one"),
        (
            {"variants": {"a": {"method": "hybrid", "overrides": {"hybrid": {"alpa": 1}}}}},
            "compare.variants.a.overrides.hybrid.alpa: unknown key (value 1)",
        ),
        (
            {"variants": {"a": {"method": "hybrid", "overrides": {"equation": {"dt": 1}}}}},
            "compare.variants.a.overrides: equation cannot be overridden here; allowed: observation, synthetic",
        ),
        (
            {"variants": {"a": {"method": "hybrid", "overrides": {"observation": {"test_sim": [0]}}}}},
            "compare.variants.a.overrides: observation.test_sim cannot be overridden here",
        ),
        (
            {"variants": {"hybrid_physical": {"method": "physical"}}},
            "compare: variants: 'hybrid_physical' and 'hybrid' would both be called 'hybrid_physical'",
        ),
        ({"methods": "pinn"}, "compare.methods: pinn needs a network of coordinates, synthetic.network is resnet"),
    ],
)
def test_a_mistake_is_refused_before_anything_runs(keys, message):
    with pytest.raises(ConfigurationError) as caught:
        parse(section(**keys))
    assert str(caught.value).startswith(message)


def test_a_physics_informed_network_joins_where_the_network_is_one_of_coordinates():
    parameters = section(seeds=[0], pinn={"updates": 3})
    parameters["generation"] = {**PARAMETERS["generation"], "initial_state": {"velocity_x": "sin(pi*x/2)"}}
    parameters["synthetic"] = {"network": {"name": "mlp", "width": 8}, "epochs": 2, "num_predict_steps": 6}
    parameters["hybrid"] = {**PARAMETERS["hybrid"], "num_predict_steps": 6}
    parse(parameters)
    assert [c.name for c in contenders(parameters)] == [*ALL[:3], "pinn", *ALL[3:]]
    believing = {**parameters, "physical": {**parameters["physical"], "equation": {"max_speed": 9.0}}}
    assert contenders(believing)[3].sections["pinn"]["equation"] == {"max_speed": 9.0}
    parameters["compare"]["methods"] = ["pinn"]
    network, physics = last(parameters)["runs"]
    assert (network["method"], network["status"]) == ("pinn_synthetic", "finished")
    assert physics["parameters"]["viscosity"]["std"] is None
    assert physics["parameters"]["viscosity"]["relative_error"] is not None
