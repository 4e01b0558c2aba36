"""Initial states that are measured, not known: the truth does not reach the training, the measurements do."""

import pytest
import torch

from hyco.observations import ObservationConfig, observe
from hyco.observations.changes import change_std
from hyco.observations.filling import fill, positions_of_entries
from hyco.runtime.storage import Bundle

POINTS = {"mode": "points", "count": 30}
ANYWHERE = {"mode": "samples", "count": 400, "at": "anywhere"}
SPACES = [{"mode": "full"}, POINTS, {"mode": "samples", "count": 150}, ANYWHERE, {"mode": "moving", "count": 30}]


def numbers(tensors):
    return {v for tensor in tensors for v in tensor.flatten().tolist()} - {0.0}


@pytest.mark.parametrize("staggered", [False, True])
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("initial", ["exact", "full", "observed"])
def test_no_number_of_the_hidden_truth_is_in_the_file(tools, space, initial, staggered):
    states, seen = tools.measure(tools.layout(staggered=staggered), space=space, initial_state=initial)
    found = numbers(v for v in seen.to_bundle().tensors.values() if v.is_floating_point())
    hidden = states if initial != "exact" else states[:, 1:]
    assert not found & numbers([hidden])
    if initial == "exact":
        assert not found & numbers([states[3]]), "nothing of the test simulation"


@pytest.mark.parametrize("space", SPACES)
def test_window_truth_is_the_only_exception_and_not_at_the_start(tools, space):
    states, seen = tools.measure(tools.layout(), space=space, initial_state="full", window_start="truth")
    found = numbers(v for v in seen.to_bundle().tensors.values() if v.is_floating_point())
    assert found & numbers([states[:3, 1:]])
    assert not found & numbers([states[:, 0], states[3]])


@pytest.mark.parametrize("space", [POINTS, {"mode": "samples", "count": 300}])
def test_what_was_not_measured_changes_nothing(tools, space):
    given = {"space": space, "initial_state": "observed", "noise_reference": "absolute"}
    states, seen = tools.measure(tools.layout(), **given)
    other = states.clone()
    other[[2, 0, 1]] = torch.where(seen.mask, states[[2, 0, 1]], 1e6)
    bundle = Bundle({"trajectories": other}, {"layout": seen.layout.to_dict(), "dt": seen.dt})
    config = {"train_sim": [2, 0], "val_sim": [1], "test_sim": [3], "noise": 0.1} | given
    again = observe(bundle, ObservationConfig.model_validate(config), 0)
    for name, tensor in seen.to_bundle().tensors.items():
        assert torch.equal(tensor, again.to_bundle().tensors[name]), name


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("staggered", [False, True])
def test_full_initial_states_are_measured_everywhere_with_noise(tools, space, staggered):
    where = tools.layout(staggered=staggered)
    states, seen = tools.measure(where, space=space, initial_state="full", time={"mode": "custom", "indices": [2, 5]})
    assert not seen.initial_known
    assert torch.equal(seen.initial_mask, where.valid.expand(3, *where.valid.shape))
    left = (seen.initial_states - states[[2, 0, 1], 0]) / seen.sigma
    assert float(left[:, where.valid].std()) == pytest.approx(1.0, abs=0.12)
    assert (left[:, ~where.valid] == 0).all()
    operator = seen.operator([0, 1, 2], 0, 6)
    entries = operator(states[[2, 0, 1]])
    assert entries.shape == seen.values.shape
    cells = where.valid[0].numel()
    assert torch.equal(seen.values[:, 0].flatten(2)[..., :cells], seen.initial_states.flatten(2))
    assert torch.equal(seen.mask[:, 0].flatten(2)[..., :cells], seen.initial_mask.flatten(2))
    assert torch.equal(entries[:, 0].flatten(2)[..., :cells], states[[2, 0, 1], 0].flatten(2))
    left = ((entries - seen.values) / seen.sigma_at([0], [1]))[:, 1:][seen.mask[:, 1:]]
    assert len(left) > 30
    assert float(left.square().mean()) == pytest.approx(1.0, abs=5 * (2 / len(left)) ** 0.5)


def test_observed_initial_states_keep_what_was_measured_and_guess_the_rest(tools):
    where = tools.layout((24, 16))
    states, seen = tools.measure(where, space={"mode": "points", "count": 120}, initial_state="observed", noise=0.01)
    assert torch.equal(seen.initial_mask, seen.mask[:, 0])
    measured = seen.mask[:, 0]
    assert torch.equal(seen.initial_states[measured], seen.values[:, 0][measured])
    truth = states[[2, 0, 1], 0]
    assert float((seen.initial_states - truth).std()) < 0.3 * float(truth.std())


@pytest.mark.parametrize(
    "data", [{"mode": "moving", "count": 120}, {"mode": "samples", "count": 800, "at": "anywhere"}]
)
def test_observed_initial_states_are_guessed_from_points_too(tools, data):
    states, seen = tools.measure(tools.layout((24, 16)), space=data, initial_state="observed", noise=0.01)
    assert seen.mask[:, 0].any()
    assert not seen.initial_mask.any()
    truth = states[[2, 0, 1], 0]
    assert float((seen.initial_states - truth).std()) < 0.35 * float(truth.std())


def test_where_nothing_was_measured_at_the_start_the_mean_stands(tools):
    _, seen = tools.measure(tools.layout(), initial_state="observed", time={"mode": "custom", "indices": [3]})
    mean, _ = seen.statistics()
    assert torch.equal(seen.initial_states, mean.reshape(1, 1, 1, 1).expand(3, 1, 12, 8))


@pytest.mark.parametrize("space", [{"mode": "full"}, POINTS, ANYWHERE])
@pytest.mark.parametrize("initial", ["full", "observed"])
def test_of_test_simulations_the_initial_state_alone_is_seen(tools, space, initial):
    where = tools.layout()
    states, expected = tools.measure(where, space=space, initial_state=initial)
    states[3, 1:] = torch.nan
    bundle = Bundle({"trajectories": states}, {"layout": where.to_dict(), "dt": 0.25})
    config = {"train_sim": [2, 0], "val_sim": [1], "test_sim": [3], "noise": 0.1}
    seen = observe(bundle, ObservationConfig.model_validate(config | {"space": space, "initial_state": initial}), 0)
    assert seen.test_initial_states.shape == (1, *seen.initial_states.shape[1:])
    assert torch.equal(seen.test_initial_states, expected.test_initial_states)
    error = (seen.test_initial_states[0] - states[3, 0]).std() / states[3, 0].std()
    assert 0 < float(error) < 0.6
    assert tools.measure(where, space=space, test_sim=[])[1].test_initial_states is None
    assert tools.measure(where, space=space)[1].test_initial_states is None, "where it is exact"


def test_a_guess_is_nearest_across_a_periodic_end(tools):
    values = torch.tensor([1.0, 5.0]).double()
    for boundary, expected in (("periodic", 5.0), ("neumann", 1.0)):
        where = tools.layout((16,), {"x": boundary})
        x = positions_of_entries(where, 0)[[4, 14]]
        state = fill(where, 0, x, values, 0.0)
        assert state[4] == 1.0
        assert state[14] == 5.0
        assert abs(float(state[0]) - expected) < 1.5


def test_measured_initial_states_are_data_of_the_statistics(tools):
    given = {"space": ANYWHERE, "time": {"mode": "custom", "indices": [0, 5]}, "noise": 0.0}
    _, full = tools.measure(tools.layout(), initial_state="full", **given)
    _, observed = tools.measure(tools.layout(), initial_state="observed", **given)
    together = torch.cat([full.initial_states[:2].flatten(), full.values[:2, 5][full.mask[:2, 5]]])
    assert full.mask[:2].sum() == len(together)
    assert full.statistics()[0] == pytest.approx(float(together.mean()))
    assert observed.statistics()[0] == pytest.approx(float(observed.values[:2][observed.mask[:2]].mean()))
    assert torch.isfinite(change_std(observed)).all()
