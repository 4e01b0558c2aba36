from __future__ import annotations

import logging
from collections.abc import Iterator

from kedro.pipeline import Pipeline, node

from hyco.hooks import DisplayHooks
from hyco.runtime.storage import Bundle


def train() -> Iterator[Bundle]:
    for epoch in (1, 2):
        metrics = {"estimate.viscosity": 0.1 * epoch, "std.viscosity": 0.01}
        yield Bundle({}, {"epoch": epoch, "epochs": 2, "finished": epoch == 2, "metrics": metrics})


PIPELINE = Pipeline([node(train, None, "hybrid_checkpoint", name="train_hybrid_models", namespace="hybrid_training")])


def run(session, hooks=None, **parameters):
    session((hooks or DisplayHooks(),), PIPELINE, {}, {"experiment": "tiny", "seed": 3, **parameters})


def test_a_run_says_what_it_is_and_leaves_a_line_with_the_last_estimate(session, caplog):
    with caplog.at_level(logging.INFO):
        run(session)
    assert "tiny: pipeline hybrid, seed 3" in caplog.messages
    assert "hybrid, epoch 2 of 2: viscosity 0.200 ± 0.010" in caplog.messages


def test_quiet_says_nothing_and_the_next_run_of_the_process_is_as_before(session, caplog):
    hooks = DisplayHooks()
    with caplog.at_level(logging.INFO, "hyco"):
        run(session, hooks, terminal="quiet")
        assert not caplog.messages
        run(session, hooks, terminal="auto")
    assert "hybrid, epoch 2 of 2: viscosity 0.200 ± 0.010" in caplog.messages


def test_verbose_brings_back_what_kedro_says(session):
    before = logging.getLogger("kedro").level
    hooks = DisplayHooks()
    hooks.after_catalog_created({"parameters": {"terminal": "verbose"}})
    assert logging.getLogger("kedro").level == logging.INFO
    hooks.after_catalog_created({"parameters": {"terminal": "auto"}})
    assert logging.getLogger("kedro").level == before
