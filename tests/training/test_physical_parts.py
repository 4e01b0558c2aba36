"""Parts of a physical training as pieces of work: the numbers are those of one process, to the bit."""

import json
import math
from contextlib import nullcontext
from functools import cache

import numpy as np
import pytest
import torch

from hyco.compute import ComputeConfig, ComputeError, Lost, PieceError, outcomes
from hyco.equations.registry import build_equation
from hyco.inversion import profile as profile_module
from hyco.inversion.optimisers.result import NotConverged, OptimisationResult, Status, best_of
from hyco.inversion.profile_curve import Profile, ProfileFound
from hyco.observations import ObservationConfig, observe
from hyco.pipelines.physical.nodes import train_physical_model
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training import physical_parts
from hyco.training.physical import PhysicalConfig, train_physical
from hyco.training.physical_parts import Workers

CPU = torch.device("cpu")
EQUATION = {
    "name": "burgers",
    "scheme": "upwind",
    "domain": {"x": {"size": 4.0, "resolution": 12}},
    "dt": 0.05,
    "max_speed": 2.5,
    "max_convection": 1.2,
    "parameters": {"viscosity": 0.06, "convection": 0.9},
}
PHYSICAL = {
    "learnable_parameters": [
        {"name": "viscosity", "initial_guess": 0.3, "bounds": [0.005, 0.5]},
        {"name": "convection", "initial_guess": 0.1, "bounds": [0.0, 1.2]},
    ],
    "method": "Levenberg-Marquardt",
    "num_predict_steps": 6,
    "discretisation": False,
    "profile": True,
    "starts": 3,
    "starts_at_once": 2,
}


@cache
def seen():
    """Noisy measurements of two simulations."""
    config = GenerationConfig(simulations=2, steps=6, length_scale=0.6)
    section = {"train_sim": [0, 1], "noise": 0.02, "time": {"mode": "custom", "indices": [0, 2, 6]}}
    return observe(generate(build_equation(EQUATION), config, 3), ObservationConfig.model_validate(section), 3)


def trained(parts=None, **physical):
    """The last checkpoint, without times."""
    config = PhysicalConfig.model_validate(PHYSICAL | physical)
    steps = train_physical(build_equation(EQUATION), seen(), config, configuration={}, device=CPU, parts=parts)
    checkpoint = [*steps][-1][0]
    return checkpoint.tensors, {
        k: v for k, v in checkpoint.metadata.items() if k not in ("seconds", "cost", "monitoring")
    }


def workers(folder, count=1, **options):
    """With one worker the parts are texts all the same."""
    return Workers(ComputeConfig(workers=count), folder, EQUATION, PHYSICAL | options, seen(), device=CPU)


def same(one, other):
    assert one[0].keys() == other[0].keys()
    assert all(torch.equal(value.nan_to_num(), other[0][name].nan_to_num()) for name, value in one[0].items())


@pytest.mark.parametrize("options", [{}, {"method": "L-BFGS-B", "profile": False}, {"horizons": [2], "profile": False}])
def test_pieces_of_work_find_what_one_process_finds(options, tmp_path):
    expected = trained(**options)
    with workers(tmp_path / "parts", **options) as parts:
        found = trained(parts, **options)
        assert len(list((tmp_path / "parts").rglob("*.json"))) == (4 if options == {} else 2)
    same(found, expected)
    assert found[1]["physical"] == expected[1]["physical"]


@pytest.mark.parametrize(("profile", "epochs"), [(True, 3), ("auto", 1)])
def test_a_profile_that_is_stopped_ends_where_it_does_in_one_process(profile, epochs, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(profile_module, "_LEAST_BUDGET", 0.0)  # the fit takes little
    options = {"starts": 1, "starts_at_once": None, "suppress_convergence_errors": True}
    options |= {"profile": profile, "epochs": epochs}
    expected = trained(**options)
    assert "stopped after as much work as the fit" in caplog.text
    with workers(tmp_path / "parts", **options) as parts:
        same(trained(parts, **options), expected)


@pytest.mark.parametrize(("epochs", "end"), [(40, nullcontext()), (1, pytest.raises(NotConverged))])
def test_the_folder_of_parts_goes_when_the_training_has_ended(epochs, end, tmp_path):
    own = PHYSICAL | {"profile": False, "starts": 1, "starts_at_once": None, "epochs": epochs}
    sections = {"equation": EQUATION, "generation": {}, "observation": {}, "physical": own, "compute": {}, "seed": 3}
    folder = tmp_path / "parts"
    folder.mkdir()  # of a run with workers that was killed; this one has none
    steps = train_physical_model(seen().to_bundle(), None, folder, **sections, device="cpu", resume=True, profile=False)
    next(steps)
    assert folder.exists()
    with end:
        list(steps)
    assert not folder.exists()


@pytest.mark.slow
def test_two_processes_find_what_one_process_finds(tmp_path):
    with workers(tmp_path, count=2) as parts:
        same(trained(parts), trained())


def test_parts_that_a_killed_training_has_done_are_not_done_again(tmp_path, monkeypatch):
    options = {"profile": False}
    begun = workers(tmp_path / "parts", **options)
    expected = trained(begun, **options)
    begun.__exit__()

    def again(*_):
        raise RuntimeError("it is done again")

    monkeypatch.setattr(physical_parts, "minimised", again)
    with Workers(
        ComputeConfig(), tmp_path / "parts", EQUATION, PHYSICAL | options, seen(), device=CPU, resume=True
    ) as parts:
        same(trained(parts, **options), expected)
    with workers(tmp_path / "parts", **options) as parts, pytest.raises(PieceError, match="it is done again"):
        trained(parts, **options)  # without resume, anew


def test_a_part_that_is_lost_ends_the_training_when_the_others_are_there(tmp_path, monkeypatch):
    def lossy(engine, pieces, folder=None):
        for i, result in outcomes(engine, pieces, folder=folder):
            yield i, Lost("its process was ended") if i == 0 else result

    monkeypatch.setattr(physical_parts, "outcomes", lossy)
    with (
        pytest.raises(ComputeError, match=r"searches from guesses, 1 of 2: its process was ended.*resume=true"),
        workers(tmp_path) as parts,
    ):
        trained(parts)
    assert len(list(tmp_path.rglob("*.json"))) == 2


def test_the_best_of_several_searches_has_the_work_of_all_also_as_json():
    def search(x, value, status):
        return OptimisationResult(np.array([x]), value, 5.0, status, "why", 2, 3, [{"x": [x], "value": None}])

    searches = [search(0.1, math.nan, Status.DIVERGED), search(0.3, 1.0, Status.CONVERGED)]
    searches.append(search(0.2, 2.0, Status.CONVERGED))
    found = best_of([OptimisationResult.from_json(json.loads(json.dumps(one.to_json()))) for one in searches])
    assert (found.x.tolist(), found.value, found.status, found.evaluations) == ([0.3], 1.0, Status.CONVERGED, 9)
    assert [(end["x"], end["value"]) for end in found.ends] == [([0.1], None), ([0.3], 1.0), ([0.2], 2.0)]
    assert len(found.history) == 3


def test_a_profile_comes_back_from_json_with_its_infinities():
    points = torch.tensor([[0.1, 3.0], [0.9, math.inf]], dtype=torch.float64)
    found = ProfileFound(Profile(0.1, (0.05, 0.9), points), 12.5, spent=True, work=7)
    again = ProfileFound.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    assert torch.equal(again.profile.points, points)
    assert (again.profile.ends, again.lowest, again.spent, again.work) == ((0.05, 0.9), 12.5, True, 7)


def test_a_batch_of_all_guesses_is_no_split_and_that_is_told():
    assert PhysicalConfig.model_validate(PHYSICAL).without_effect == {}
    whole = PhysicalConfig.model_validate(PHYSICAL | {"starts_at_once": 3}).without_effect
    assert whole == {"starts_at_once": "needs more starts than that; physical.starts is 3"}
