"""`hyco` and its commands: help, what runs without a command, completion, `kedro` beside it."""

import os
import subprocess
import sys
import time

import click
import pytest
from click.shell_completion import BashComplete
from kedro.framework.cli.project import run as of_kedro

from hyco import cli
from hyco.cli import main as group
from hyco.cli.main import COMMANDS, main
from hyco.runtime.storage import DamagedFileError
from hyco.stepping.native.views import UnsupportedError


def test_help_names_every_command_and_each_has_its_own(hyco):
    shown = hyco("--help")
    assert shown.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in shown.output
    for name in set(COMMANDS) - {"run"}:
        own = hyco(name, "--help")
        assert own.exit_code == 0
        assert own.output.startswith("Usage: main " + name)
    assert hyco("chekc").exit_code == 2


@pytest.mark.parametrize("arguments", [[], ["--pipelines", "hybrid"], ["run", "--pipelines", "hybrid"]])
def test_without_a_command_the_options_are_those_of_run(arguments, hyco, monkeypatch):
    @click.command()
    @click.option("--pipelines")
    def pretended(pipelines):
        click.echo(f"runs {pipelines}")

    monkeypatch.setattr(group, "_run", lambda: pretended)
    assert hyco(*arguments).output == f"runs {'hybrid' if arguments else None}\n"


def test_run_is_that_of_kedro(hyco):
    assert "--only-missing-outputs" in hyco("run", "--help").output
    unknown = hyco("--pipelinse", "hybrid")
    assert unknown.exit_code == 2
    assert "No such option '--pipelinse'" in unknown.output


def test_what_the_program_refuses_is_told_in_a_line_by_every_command(hyco, monkeypatch):
    def refuse():
        raise DamagedFileError("model.safetensors cannot be read")

    def fail():
        raise ValueError("a mistake of ours")

    def fail_inside():
        raise UnsupportedError("aten.sort")

    def say_nothing():
        raise DamagedFileError

    mistakes = {fail: ValueError, fail_inside: UnsupportedError, say_nothing: DamagedFileError}
    for function in (refuse, *mistakes):
        said = "" if function in mistakes else "Error: model.safetensors cannot be read\n"
        monkeypatch.setattr(group.Commands, "get_command", lambda *_, f=function: click.Command("check", callback=f))
        told = hyco("check")
        assert (told.exit_code, told.output) == (1, said)
        # With a traceback, for who can mend it.
        assert isinstance(told.exception, mistakes.get(function, SystemExit))


def test_a_command_that_is_interrupted_ends_without_a_traceback(hyco, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(group.Commands, "get_command", lambda *_: click.Command("check", callback=interrupt))
    told = hyco("check")
    assert (told.exit_code, told.output) == (130, "")


def test_a_runner_that_there_is_not_is_told_in_a_line(hyco):
    for name in ("nope", "kedro.runner.Nope", "no.such.Module"):
        unknown = hyco("run", "--runner", name)
        assert unknown.exit_code == 2
        assert f"there is no '{name}' (" in unknown.output
        assert "); allowed: SequentialRunner, ThreadRunner" in unknown.output
    assert cli.cli.get_command(click.Context(cli.cli), "run") is cli.run  # which Kedro takes
    assert cli.run.params != of_kedro.params


def test_a_shell_completes_commands_and_experiments(project):
    def completed(*arguments, incomplete=""):
        completion = BashComplete(main, {}, "hyco", "_HYCO_COMPLETE")
        return [item.value for item in completion.get_completions(list(arguments), incomplete)]

    assert completed() == sorted(COMMANDS)
    assert completed(incomplete="ch") == ["check"]
    assert completed("list") == ["equations", "networks", "experiments"]
    assert completed("check", "--env", incomplete="he") == ["heat"]


def test_help_is_there_at_once():
    def elapsed(*arguments):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True, env=os.environ | paths)
        return time.perf_counter() - start

    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    heavy = "import sys, hyco.cli.main; sys.exit(any(m in sys.modules for m in ('torch', 'kedro', 'pandas', 'phi')))"
    subprocess.run([sys.executable, "-c", heavy], check=True, env=os.environ | paths)
    # Beside the interpreter itself, on a machine that does other things too.
    assert min(elapsed("-m", "hyco", "--help") - elapsed("-c", "") for _ in range(3)) < 0.5


@pytest.mark.slow
def test_kedro_knows_the_project_and_its_own_new(project):
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "kedro", "--help"], capture_output=True, text=True, cwd=project, env=os.environ | paths
    )
    assert done.returncode == 0, done.stderr
    assert "Create a new kedro project" in done.stdout
    assert "Run the pipeline" in done.stdout
