"""Pieces through engines that lose their workers."""

import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import Executor, Future

import pytest

from hyco.compute import ComputeConfig, ComputeError, Engine, Lost, Piece, PieceError, open_engine, outcomes, pieces
from hyco.compute.errors import LostWorkerError
from hyco.compute.processes import Processes
from hyco.runtime.open_work import OPEN, end_open_work
from hyco.runtime.random_streams import stream_seed


def seeds(count):
    return [Piece("hyco.runtime.random_streams:stream_seed", {"seed": i}, f"seed {i}") for i in range(count)]


class Fragile(Executor):
    """Loses the worker of a piece the first times that it is begun."""

    def __init__(self, deaths, error=None):
        self.left, self.begun = Counter(deaths), []
        self.error = error or LostWorkerError("its process was ended")

    def submit(self, fn, text):
        number = pieces.json.loads(text)["arguments"]["seed"]
        self.begun.append(number)
        future = Future()
        if self.left[number]:
            self.left[number] -= 1
            future.set_exception(self.error)
        else:
            future.set_result(fn(text))
        return future


@pytest.mark.parametrize("ahead", [1, 3, 100])
def test_a_lost_piece_is_begun_again_up_to_three_times_and_the_rest_goes_on(ahead, caplog):
    executor = Fragile({1: 2, 3: 3})
    found = dict(outcomes(Engine(executor, ahead, 1, 3), seeds(5)))
    assert found == {**{i: stream_seed(i) for i in (0, 1, 2, 4)}, 3: Lost("its process was ended")}
    assert Counter(executor.begun) == {0: 1, 1: 3, 2: 1, 3: 3, 4: 1}
    assert "seed 1: its process was ended. It is begun again." in caplog.text
    assert "seed 3: its process was ended. It was begun 3 times in vain; the rest goes on." in caplog.text


def test_an_engine_that_has_tried_itself_is_believed():
    executor = Fragile({1: 1}, LostWorkerError("4 workers have died with it", final=True))
    assert dict(outcomes(Engine(executor, 2, 1, 3), seeds(3)))[1] == Lost("4 workers have died with it")
    assert executor.begun == [0, 1, 2]


def test_a_scheduler_that_is_gone_is_told():
    class Gone(Executor):
        def submit(self, fn, text):
            future = Future()
            future.cancel()
            return future

    with pytest.raises(ComputeError, match="the scheduler is gone"):
        list(outcomes(Engine(Gone(), 4, 1, 3, "the scheduler is gone"), seeds(2)))


def test_an_error_of_a_piece_ends_all():
    wrong = Piece("hyco.runtime.random_streams:stream_seed", {"sed": 1}, "wrong")
    with open_engine(ComputeConfig()) as engine, pytest.raises(PieceError, match=r"wrong: TypeError: .*'sed'"):
        list(outcomes(engine, [*seeds(1), wrong]))


def test_in_this_process_nothing_is_done_ahead(tmp_path):
    with open_engine(ComputeConfig()) as engine:
        results = outcomes(engine, seeds(3), folder=tmp_path)
        next(results)
        assert len(list(tmp_path.rglob("*.json"))) == 1


def test_a_process_that_cannot_be_begun_is_a_lost_worker(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hyco.compute.processes.ProcessPoolExecutor", full)
    executor = Processes(1)
    with pytest.raises(LostWorkerError, match=r"no process can be begun \(No space left on device\)"):
        executor.submit(os.getpid).result()
    assert executor in OPEN
    end_open_work()
    assert executor not in OPEN


@pytest.mark.slow
def test_what_nobody_consumes_to_its_end_does_not_keep_a_program_from_ending():
    code = (
        "import time\nfrom hyco.compute.processes import Processes\n"
        "if __name__ == '__main__':\n"
        "    kept = [future := Processes(1).submit(time.sleep, 1000.0)]\n"
        "    while not future.running(): time.sleep(0.01)\n"
        "    raise RuntimeError('who consumes it has failed')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert "who consumes it has failed" in ended.stderr


@pytest.mark.slow
def test_a_process_that_dies_costs_its_own_piece_and_a_new_one_takes_its_place():
    executor = Processes(2)
    other, dying = executor.submit(time.sleep, 2.0), executor.submit(os._exit, 1)
    with pytest.raises(LostWorkerError):
        dying.result()
    pids = {executor.submit(os.getpid).result() for _ in range(3)}
    assert os.getpid() not in pids
    assert other.result() is None
    begin = time.monotonic()
    going = executor.submit(time.sleep, 1000.0)
    while not going.running():
        time.sleep(0.01)
    executor.shutdown(cancel_futures=True)  # what is being done ends, too
    assert time.monotonic() - begin < 60
    assert isinstance(going.exception(), LostWorkerError)
