"""What every test runs with (no telemetry, no display, one thread), and a small problem that trainings share."""

import functools
import importlib
import json
import os
import re
import sys
import threading
from pathlib import Path

# Before anything is imported, as these are read on import.
os.environ.update(
    {
        "DO_NOT_TRACK": "true",
        "KEDRO_DISABLE_TELEMETRY": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",  # also for the processes that tests start
    }
)

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hyco.config import resolve_hybrid
from hyco.equations.registry import build_equation
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.trainer import HybridTrainer
from hyco.observations import ObservationConfig, observe
from hyco.pipelines.evaluation import nodes as evaluation
from hyco.pipelines.generation import nodes as generation
from hyco.pipelines.hybrid import nodes as hybrid
from hyco.pipelines.physical import nodes as physical
from hyco.runtime.storage import read_bundle, write_bundle
from hyco.sections import merge
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.config import SyntheticConfig
from hyco.training.physical import PhysicalConfig

torch.set_num_threads(1)


WATCHED = pytest.StashKey[bool]()


def pytest_addoption(parser):
    parser.addoption("--cov-half", action="store_true", help="--cov watches every second fast test, in its first case")


def pytest_configure(config):
    """Half of nothing is refused."""
    if config.getoption("cov_half") and not config.getoption("cov_source", None):
        raise pytest.UsageError("--cov-half is half of what --cov watches: give --cov, too, or leave it out")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """A study is a slow test, too: before tests are chosen by their marks."""
    for item in items:
        if item.get_closest_marker("study"):
            item.add_marker("slow")
    if config.getoption("cov_half"):
        cases = {}
        for item in items:
            if not item.get_closest_marker("slow"):
                cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
        for first, *_ in list(cases.values())[::2]:
            first.stash[WATCHED] = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """What is not watched starts no process that is."""
    if not item.config.getoption("cov_half") or WATCHED in item.stash:
        return (yield)
    coverage = item.config.pluginmanager.get_plugin("_cov").cov_controller
    if coverage is None:  # --no-cov
        return (yield)
    coverage.pause()
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
            return (yield)
    finally:
        coverage.resume()


# A small Burgers problem.
EQUATION = {
    "name": "burgers",
    "domain": {"x": {"size": 4.0, "resolution": 32}},
    "dt": 0.05,
    "max_speed": 6.0,
    "parameters": {"viscosity": 0.1},
}
GENERATION = {"simulations": 4, "steps": 8, "length_scale": 0.8}
OBSERVATION = {"train_sim": [0, 1], "val_sim": [2], "test_sim": [3], "noise": 0.01}
SYNTHETIC = {
    "network": {"name": "resnet", "filters": 8, "blocks": 1},
    "epochs": 6,
    "num_predict_steps": 4,
    "learning_rate": 3e-3,
    "batch_size": 2,
}
PHYSICAL = {
    "learnable_parameters": [{"name": "viscosity", "initial_guess": 0.5, "bounds": [0.005, 1.0]}],
    "num_predict_steps": 4,
}
HYBRID = {
    "epochs": 6,
    "num_predict_steps": 4,
    "alpha": 0.7,
    "warmup_epochs": 2,
    "physical": {"max_iterations": 5, "suppress_convergence_errors": True},
}
CPU = torch.device("cpu")


@functools.cache
def _equation_of(section):
    return build_equation(json.loads(section))


class Problem:
    """Builds trainers on the same data; equal sections have one equation, whose step is recorded once."""

    def __init__(self, observation=None, seed=0, equation=None):
        self.seed = seed
        # An equation with a name of its own replaces the whole section.
        section = equation if "name" in (equation or {}) else EQUATION | (equation or {})
        self.equation = _equation_of(json.dumps(section, sort_keys=True))
        self.trajectories = generate(self.equation, GenerationConfig(**GENERATION), seed)
        config = ObservationConfig.model_validate(OBSERVATION | (observation or {}))
        self.observations = observe(self.trajectories, config, seed)

    def synthetic(self, **changes):
        return SyntheticConfig.model_validate(SYNTHETIC | changes)

    def physical(self, **changes):
        return PhysicalConfig.model_validate(PHYSICAL | changes)

    def hybrid(self, synthetic=None, physical=None, profile=False, **changes):
        changes["physical"] = HYBRID["physical"] | (physical or {})
        resolved = resolve_hybrid(HYBRID | changes, SYNTHETIC | (synthetic or {}), PHYSICAL)
        return HybridTrainer(
            self.equation,
            self.observations,
            HybridConfig.model_validate(resolved),
            self.seed,
            configuration={"hybrid": resolved, "seed": self.seed},
            device=CPU,
            profile=profile,
        )


@pytest.fixture(scope="session")
def problem():
    return Problem()


@pytest.fixture(scope="session")
def make_problem():
    return Problem


# What two runs may differ in: how long they took, and where the second one began.
_OF_THE_RUN = ("seconds", "peak", "peak_rss_bytes", "resumed_from")


@pytest.fixture
def assert_resumable(tmp_path):
    """Checks that a run which is killed after some epochs, and goes on, equals the uninterrupted one to the bit.

    Takes a function that makes a new run from `checkpoint` and `resume`; returns the uninterrupted run's steps.
    """

    def check(run, *killed_after):
        whole = list(run(None, False))
        for epochs in killed_after:
            path = tmp_path / f"{epochs}.safetensors"
            interrupted = run(None, False)
            for _ in range(epochs):
                checkpoint, _ = next(interrupted)
            write_bundle(path, checkpoint)
            interrupted.close()
            resumed = list(run(read_bundle(path), True))
            assert [r for _, r in resumed] == [r for _, r in whole][epochs - 1 :]  # that of the checkpoint, once more
            last, expected = resumed[-1][0], whole[-1][0]
            assert last.tensors.keys() == expected.tensors.keys()
            for name in expected.tensors:
                assert torch.equal(last.tensors[name], expected.tensors[name]), name
            one, other = ({k: v for k, v in c.metadata.items() if k not in _OF_THE_RUN} for c in (last, expected))
            assert one == other
        return whole

    return check


class OnDevice(TorchDispatchMode):
    """Follows what is computed from some tensors, as if they were on a GPU, and counts where the CPU waits for it."""

    def __init__(self, tensors):
        super().__init__()
        self.waits, self._there = 0, {id(tensor): tensor for tensor in tensors}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        inputs = [i for i in tree_leaves((args, kwargs)) if isinstance(i, torch.Tensor)]
        there = any(id(i) in self._there for i in inputs)
        # An index that is a mask is as many numbers as it has entries that are true.
        masked = func is torch.ops.aten.index.Tensor and any(i.dtype == torch.bool for i in inputs[1:])
        if there and (masked or torch.Tag.data_dependent_output in func.tags or "nonzero" in func.__name__):
            self.waits += 1
        out = func(*args, **(kwargs or {}))
        if there:
            self._there.update({id(i): i for i in tree_leaves(out) if isinstance(i, torch.Tensor)})
        return out


@pytest.fixture
def on_device():
    return OnDevice


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """Writes a file of a user's into a folder that is on Python's path; `forget` takes it away again."""
    monkeypatch.syspath_prepend(str(tmp_path))
    written = []

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        sys.modules.pop(name, None)
        written.append(name)

    def forget(name):
        (tmp_path / f"{name}.py").unlink()
        importlib.invalidate_caches()
        sys.modules.pop(name, None)

    write.forget = forget
    yield write
    for name in written:
        sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def heated_rod():
    """The module of an equation whose step depends on the time; its name is that of a user's class."""
    folder = str(Path(__file__).parent)
    sys.path.insert(0, folder)
    yield importlib.import_module("heated_rod")
    sys.path.remove(folder)


@pytest.fixture
def write_example(write_module):
    """Writes a file that stands in a page of the documentation; returns its text."""

    def write(page, name):
        text = (Path(__file__).parents[1] / "docs" / page).read_text(encoding="utf-8")
        (code,) = re.findall(rf"```python\n(# {name}\.py\n.*?)```", text, re.DOTALL)
        write_module(name, code)
        return code

    write.forget = write_module.forget
    return write


@pytest.fixture
def complete():
    """All sections of an experiment on a small problem, from those that differ from it."""

    def sections(**changes):
        small = {
            "experiment": "small",
            "seed": 0,
            "device": "cpu",
            "equation": EQUATION,
            "generation": GENERATION,
            "observation": OBSERVATION,
            "synthetic": SYNTHETIC,
            "physical": PHYSICAL,
            "hybrid": HYBRID,
        }
        return merge(small, changes)

    return sections


class Nodes:
    """The nodes of the pipelines, with the sections of one experiment."""

    def __init__(self, sections):
        self.sections = sections
        self.trajectories = generation.generate_trajectories(
            None, None, **self._given("equation", "generation", "seed"), measurements={}
        )
        self.observations = generation.make_observations(
            self.trajectories, None, None, **self._given("equation", "observation", "seed"), measurements={}
        )

    def _given(self, *names):
        return {name: self.sections[name] for name in names}

    def _data(self):
        return self._given("equation", "generation", "observation", "seed")

    def physical(self):
        """The estimates of the physical model alone."""
        steps = physical.train_physical_model(
            self.observations,
            None,
            None,
            **self._data(),
            **self._given("physical", "device"),
            compute={},
            resume=False,
            profile=False,
        )
        *_, (checkpoint, _) = steps
        return physical.finalise_physical_model(checkpoint)

    def hybrid(self, checkpoint=None):
        """All checkpoints of a hybrid; with a checkpoint, of one that goes on from it."""
        steps = hybrid.train_hybrid_models(
            self.observations,
            checkpoint,
            **self._data(),
            **self._given("synthetic", "physical", "hybrid", "device"),
            resume=checkpoint is not None,
            profile=False,
        )
        return [bundle for bundle, _ in steps]

    def report(self, checkpoint):
        """The methods of report.json, for the final models of a hybrid, which have been in files."""
        network, estimates = hybrid.finalise_hybrid_models(checkpoint)
        models = {"hybrid_synthetic": network, "hybrid_physical": json.loads(json.dumps(estimates))}
        rollouts = evaluation.roll_out_test_simulations(self.trajectories, self.observations, **self._data(), **models)
        sections = {"physical_section": self.sections["physical"], "hybrid_section": self.sections["hybrid"]}
        given = self._given("experiment", "seed", "equation")
        return evaluation.make_report(rollouts, **given, **sections, **models)["methods"]


@pytest.fixture
def run_nodes():
    return Nodes


@pytest.fixture
def killed_in_the_second(monkeypatch):
    """A generation in chunks that is interrupted in its second one, once; the sizes of those begun, as they come."""
    from hyco.stepping import chunks

    made, rolled_out = [], chunks.rolled_out

    def counted(equation, states, *rest):
        made.append(len(states))
        if len(made) == 2:
            raise KeyboardInterrupt
        return rolled_out(equation, states, *rest)

    monkeypatch.setattr(chunks, "rolled_out", counted)
    return made


@pytest.fixture
def no_threads(monkeypatch):
    """No thread can be begun, as where a user has as many as the system allows."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
