"""`hybrid.interaction.count: auto`: fresh starts where the physics is trusted, and none where it is not."""

import pytest

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.hybrid.interaction import InteractionConfig

SIZES = {"length": 5, "steps": 40}


def layout(cells=100, **field):
    grid = Grid(axes=("x",), lower=(0.0,), size=(5.0,), resolution=(cells,))
    return Layout(grid, (FieldSpec("u", **field),))


def test_a_number_as_alpha_is_the_method_as_published(problem):
    assert problem.hybrid(alpha=0.9).models.fresh is None


def test_the_network_of_trusted_physics_learns_from_states_with_the_spectra_of_those_seen(problem):
    trainer = problem.hybrid(alpha="auto", epochs=1, warmup_epochs=0)
    assert trainer.models.fresh.starts.config.source == "estimated"
    assert trainer.models.fresh.steps == problem.observations.steps
    assert trainer.strategy.summary()["interaction"] == {"count": 64, "source": "estimated", "prior_knowledge": False}


@pytest.mark.parametrize(
    ("cells", "count", "batch"), [(32, 64, 32), (128, 64, 32), (640, 64, 6), (4096, 16, 4), (10**6, 16, 4)]
)
def test_large_states_are_fewer(cells, count, batch):
    filled = InteractionConfig().filled(wanted=True, layout=layout(cells), **SIZES)
    assert (filled.count, filled.batch_size, filled.window, filled.updates) == (count, batch, 1, 16)
    assert (filled.steps, filled.source) == (40, "estimated")


def test_what_is_given_stays():
    given = {"steps": 7, "batch_size": 3, "window": 2, "updates": 5, "source": "trajectories"}
    filled = InteractionConfig(**given).filled(wanted=True, layout=layout(), **SIZES)
    assert {key: getattr(filled, key) for key in given} == given
    numbered = InteractionConfig(count=8)
    assert numbered.filled(wanted=True, layout=layout(), **SIZES) == numbered
    assert InteractionConfig().filled(wanted=False, layout=layout(), **SIZES).given_count == 0
    with pytest.raises(ValueError, match="allowed: a number of states from 0 on, or auto"):
        InteractionConfig(count="many")


def test_states_without_spectra_are_mixed_and_the_report_says_so(caplog):
    faces = layout(components=("x",), staggered=True)
    filled = InteractionConfig(count=8).filled(wanted=True, layout=faces, **SIZES)
    assert "have no spectra" in caplog.text
    assert filled.summary() == {"count": 8, "source": "trajectories", "prior_knowledge": False}
    caplog.clear()
    assert InteractionConfig().filled(wanted=False, layout=faces, **SIZES).summary() == {"count": 0}
    assert not caplog.text


def test_windows_of_fresh_trajectories_may_be_shorter_and_fewer(problem):
    trainer = problem.hybrid(
        alpha="auto", epochs=2, warmup_epochs=0, interaction={"count": 20, "window": 1, "batch_size": 3, "updates": 4}
    )
    seen, updates = [], trainer.synthetic.batches.updates

    def watch(fresh, length):
        for which, windows in updates(fresh, length):
            seen.append((len(which), None if windows is None else tuple(windows.shape[:2])))
            yield which, windows

    trainer.synthetic.batches.updates = watch
    records = [r["metrics"] for _, r in trainer.train()]
    assert records[-1]["alpha"] < 1
    taught = [shape for _, shape in seen if shape is not None]
    assert set(taught) == {(3, 2)}
    assert len(taught) >= 4


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_bit(problem, assert_resumable):
    def run(checkpoint, resume):
        return problem.hybrid(
            alpha="auto", epochs=5, warmup_epochs=1, validate_every=2, interaction={"refresh_every": 2, "count": "auto"}
        ).train(checkpoint, resume)

    assert_resumable(run, 2, 4)
