"""Of the processes that torchrun starts one is the run, and the others help it."""

from contextlib import contextmanager

import pytest

from hyco.hooks.session import Session
from hyco.training import helping, ranks
from hyco.training.ranks import Ranks, RanksError


@pytest.mark.parametrize(("rank", "runs", "helps"), [(0, 1, 0), (1, 0, 1)])
def test_rank_0_runs_and_the_others_help(rank, runs, helps, monkeypatch):
    done = {"runs": 0, "helps": 0}

    @contextmanager
    def joined():
        yield Ranks(rank, 2)

    def run(self):
        done["runs"] += 1
        return {"made": 1}

    def help_rank_0(_):
        done["helps"] += 1

    monkeypatch.setattr(ranks, "joined", joined)
    monkeypatch.setattr(helping, "help_rank_0", help_rank_0)
    monkeypatch.setattr(Session, "_run_alone", run)
    monkeypatch.setattr("hyco.hooks.session.logging.disable", lambda _: None)
    session = Session.__new__(Session)
    for name, value in {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2", "RANK": str(rank)}.items():
        monkeypatch.setenv(name, value)
    assert session.run() == ({"made": 1} if runs else {})
    assert done == {"runs": runs, "helps": helps}
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert session.run() == {"made": 1}
    assert done == {"runs": runs + 1, "helps": helps}


def test_where_one_has_ended_rank_0_alone_says_so(monkeypatch):
    @contextmanager
    def joined():
        raise RanksError("a process has ended")
        yield

    monkeypatch.setattr(ranks, "joined", joined)
    for name, value in {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RanksError):
        Session.__new__(Session).run()
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit) as ended:
        Session.__new__(Session).run()
    assert ended.value.code == 1
