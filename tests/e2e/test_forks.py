"""Commands in forks of one process: what they say is theirs, also after one that was interrupted, killed or late."""

import json
import os
import re
import signal
import sys
import threading
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere commands are not forked")


class InterruptionError(Exception):
    pass


@pytest.fixture
def say(bare, tmp_path):
    """Say a word after so many seconds, in a process of its own."""
    (tmp_path / "say.py").write_text("import sys, time\nprint('soon', flush=True)\ntime.sleep(float(sys.argv[2]))\n"
                                     "print(sys.argv[1])\nopen(sys.argv[1], 'w')\n")  # fmt: skip

    def run(word, after=0.0, seconds=60.0):
        done = bare.run(["say", word, str(after)], tmp_path, dict(os.environ), seconds)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.split()

    return run


def interrupted(*_):
    raise InterruptionError


def test_a_command_after_an_interrupted_one_has_its_own_answer(say, tmp_path):
    before = signal.signal(signal.SIGUSR1, interrupted)
    assert say("first") == ["soon", "first"]
    main = threading.main_thread().ident
    threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGUSR1)).start()
    begin = time.monotonic()
    with pytest.raises(InterruptionError):
        say("second", after=2)
    signal.signal(signal.SIGUSR1, before)
    assert say("third") == ["soon", "third"]
    time.sleep(max(0.0, 2.7 - (time.monotonic() - begin)))
    assert not (tmp_path / "second").exists(), "it has been killed, too"


def test_where_the_process_has_been_killed_that_is_said_once(say, bare):
    say("first")
    os.killpg(bare.server.pid, signal.SIGKILL)
    with pytest.raises(ChildProcessError, match="the process that forks has ended: -9"):
        say("second")
    assert say("third") == ["soon", "third"]


def test_an_answer_to_another_command_is_refused(say, bare):
    say("first")
    other = {"number": 0, "arguments": ["platform"], "cwd": "/", "env": {}, "seconds": 60.0}
    print(json.dumps(other), file=bare.server.stdin, flush=True)
    with pytest.raises(RuntimeError, match=r"the answer is not that of command \d+"):
        say("second")
    assert say("third") == ["soon", "third"]


def test_a_command_that_does_not_end_is_killed_and_its_output_shown(say):
    with pytest.raises(TimeoutError, match=r"(?s)has not ended in 1.5 s.*soon"):
        say("first", after=60, seconds=1.5)
    assert say("second") == ["soon", "second"]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_command_says_and_returns_by_a_fork_what_it_does_by_a_shell(project):
    def shown(start, *arguments, params):
        name = "by_" + start.__name__
        done = start(*arguments, params=f"experiment={name},{params}")
        texts = (text.replace(name, "NAME") for text in (done.stdout, done.stderr))
        return done.returncode, *(re.sub(r"\d\d:\d\d:\d\d|\d+(\.\d+)? s\b", "…", text) for text in texts)

    wrong = shown(project.run, params="hybrid.alhpa=1")
    assert wrong[0] == 1
    assert wrong == shown(project.shell, params="hybrid.alhpa=1")
    trained = shown(project.run, "--pipelines", "synthetic", "--tags", "train", params="seed=1")
    assert trained[0] == 0
    assert trained == shown(project.shell, "--pipelines", "synthetic", "--tags", "train", params="seed=1")
