"""The examples of the documentation are valid, and its links lead somewhere."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import hyco
from hyco.config import parse
from hyco.pipeline_registry import register_pipelines
from hyco.pipelines.hybrid.nodes import train_hybrid_models
from hyco.runtime.storage import read_bundle

PROJECT = Path(__file__).parents[1]
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
EXAMPLE = re.compile(r"```yaml\n# over conf/(\w+)\n(.*?)```", re.DOTALL)
EXAMPLES = [(page, *found) for page in PAGES for found in EXAMPLE.findall(page.read_text(encoding="utf-8"))]
# Written by the benchmarks, which take hours.
STUDIES = PROJECT / "docs" / "studies"


def experiment(name: str) -> dict[str, Any]:
    """The parameters of an experiment, section by section over those of conf/base."""
    found: dict[str, Any] = {}
    for folder in ("base", name):
        for path in sorted((PROJECT / "conf" / folder).glob("parameters*.yml")):
            found = overlaid(found, yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    return {**found, "experiment": name}


def overlaid(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`old` with the keys of every section of `new`."""
    both = {k: {**old[k], **v} if isinstance(v, dict) and isinstance(old.get(k), dict) else v for k, v in new.items()}
    return {**old, **both}


@pytest.mark.parametrize(("page", "name", "text"), EXAMPLES, ids=[f"{p.stem}-{n}" for p, n, _ in EXAMPLES])
def test_every_example_is_a_valid_configuration(page: Path, name: str, text: str) -> None:
    parse(overlaid(experiment(name), yaml.safe_load(text)))


def test_there_is_an_example_of_every_kind_of_parameter() -> None:
    kinds = {
        entry.get("kind", "scalar")
        for _, _, text in EXAMPLES
        for entry in yaml.safe_load(text).get("physical", {}).get("learnable_parameters", [])
    }
    assert kinds == {"scalar", "expression", "fourier", "gaussians", "field"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            path = (page.parent / target).resolve()
            assert path.exists() or path.parent == STUDIES, target


@pytest.mark.slow
def test_own_measurements_train_both_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = re.findall(r"```python\n(.*?)```", (PROJECT / "docs" / "inversion.md").read_text(), re.DOTALL)
    (script,) = (script for script in scripts if "measured.npy" in script)
    waves = np.sin(np.linspace(0, 2 * np.pi, 128, endpoint=False)) * np.linspace(1.0, 0.9, 13)[:, None]
    measured = np.broadcast_to(waves, (8, 13, 128))[:, :, None].copy()
    measured[:, 1:, :, ::3] = np.nan
    np.save(tmp_path / "measured.npy", measured)
    monkeypatch.chdir(tmp_path)
    exec(compile(script, "inversion.md", "exec"), {})
    observations = read_bundle(tmp_path / "data" / "05_model_input" / "mine" / "observations.safetensors")
    sections = experiment("burgers_1d")
    sections["hybrid"] |= {"epochs": 4, "warmup_epochs": 1, "physical": {"suppress_convergence_errors": True}}
    keys = ("equation", "generation", "observation", "synthetic", "physical", "hybrid")
    given = {key: sections[key] for key in keys}
    epochs = train_hybrid_models(observations, None, **given, seed=0, device="cpu", resume=False, profile=False)
    *_, (_, last) = epochs
    assert last["metrics"]["estimate.viscosity"] != 0.5


@pytest.mark.slow
def test_the_script_of_the_front_door_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, _ = re.findall(r"```python\n(.*?)```", (PROJECT / "docs" / "python.md").read_text(), re.DOTALL)
    assert script.count('"epochs": 100') == 2
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(script.replace('"epochs": 100', '"epochs": 6'), "python.md", "exec"), names)
    assert names["states"].shape == (1, 50, 1, 128)
    assert abs(names["both"].physics.estimate["viscosity"].value - 0.1) < 0.01


def test_measurements_of_ones_own_are_read_and_fitted_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, script = re.findall(r"```python\n(.*?)```", (PROJECT / "docs" / "python.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    minutes, mm = np.meshgrid(0.5 * np.arange(11), 25.0 * (np.arange(16) + 0.5), indexing="ij")
    wave = np.pi / 400
    temperature = 21 + np.exp(-2e-4 * (1000 * wave) ** 2 * 60 * minutes) * np.cos(wave * mm)
    temperature += 0.05 * np.random.default_rng(0).standard_normal(mm.shape)
    columns = np.stack([minutes, mm, temperature], axis=-1).reshape(-1, 3)
    np.savetxt("mine.csv", columns, delimiter=",", header="minutes,mm,temperature", comments="")
    names: dict[str, Any] = {}
    exec(compile(script, "python.md", "exec"), names)
    low, high = names["fitted"].estimate["diffusivity"].interval
    assert low < 2e-4 < high
    assert high - low < 1e-4


def test_the_front_doors_names_are_all_in_its_page() -> None:
    page = (PROJECT / "docs" / "python.md").read_text(encoding="utf-8")
    assert not [name for name in hyco.__all__ if name != "__version__" and name not in page]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_nodes_of_commands_exist(page: Path) -> None:
    known = {node.name for pipeline in register_pipelines().values() for node in pipeline.nodes}
    for names in re.findall(r"--(?:from-|to-)?nodes ([\w.,]+)", page.read_text(encoding="utf-8")):
        assert set(names.split(",")) <= known


def test_every_page_is_on_the_site() -> None:
    listed = set(re.findall(r"^([a-z_]+)$", (PROJECT / "docs" / "index.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert {page.stem for page in (PROJECT / "docs").glob("*.md")} - {"index"} <= listed
