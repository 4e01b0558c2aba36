"""Files of a configuration that are none: each is told in one line, and none takes long or makes anything."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kedro.config import OmegaConfigLoader

from hyco.config import ConfigurationError
from hyco.hooks import ConfigurationHooks
from hyco.hooks.parameter_files import require_inside, require_name, require_plain, require_space, require_writable
from hyco.settings import CONFIG_LOADER_ARGS

LAUGHS = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (LAUGHS, "with what aliases .* repeat it has more than 100000 values"),
        ("a: &a\n  b: *a\n", "or holds itself"),
        ("- 1\n- 2\n", "it holds no keys with values"),
        ("just a text", "it holds no keys with values"),
        (
            "x: !!python/object/apply:os.system ['touch made']\n",
            "line 1: could not determine a constructor for the tag",
        ),
        ("x: !mine 3\n", "line 1: could not determine a constructor"),
        ("x: [1\n", "line 2: expected"),
        ("x: 2001-99-99\n", "must be in"),
        ("[" * 2000, "nested too deeply|expected"),
        ("? {a: 1}\n: 2\n", "line 1: found unhashable key"),
        (b"x: \xff\xfe\n", "it is no text in UTF-8"),
        ("x: \x00\n", "it is no text in UTF-8"),
        (b"x" * (11 * 2**20), "it has more than 10 MB"),
    ],
    ids=str,
)
def test_a_file_that_is_no_configuration_is_told_in_a_line(tmp_path, monkeypatch, content, text):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "parameters.yml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigurationError, match=text) as caught:
        require_plain(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["parameters.yml"]


# Two keys, and a text that stands for nothing else.
TAKEN = ("a: {1: x, '1': y}\n", "notes: 'see \\${oc.env:HOME}'\n")


def test_files_that_are_some_are_taken(tmp_path):
    for content in ("", "# nothing\n", "a: &a {x: 1}\nb: *a\nc: {<<: *a}\n", *TAKEN):
        (tmp_path / "parameters.yml").write_text(content)
        require_plain(tmp_path / "parameters.yml")


@pytest.mark.parametrize("name", ["../x", "../../../x", "a/b", "", ".hidden", "a\nb", "a b", 3, None, "x" * 101, "é"])
def test_a_name_that_could_be_a_path_is_refused(name):
    with pytest.raises(ConfigurationError, match=r"conf/x/globals\.yml: experiment: .* is not allowed"):
        require_name(name, "conf/x/globals.yml")


def context(project: Path, **runtime_params: Any) -> Any:
    loader = OmegaConfigLoader(str(project / "conf"), "mine", runtime_params, **CONFIG_LOADER_ARGS)
    return SimpleNamespace(project_path=project, config_loader=loader)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("base", "mine"):
        (tmp_path / "conf" / folder).mkdir(parents=True)
    (tmp_path / "conf" / "mine" / "parameters.yml").write_text("experiment: ${globals:experiment}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("globals_", "parameters", "text"),
    [
        ("experiment: ../../../x\n", None, r"globals\.yml: experiment: '\.\./\.\./\.\./x' is not allowed"),
        ("experiment: one\n", "experiment: two\n", "experiment is 'two' in the parameters, and 'one' in"),
        ("experiment: one\n", "x: ${oc.env:HOME}\n", r"parameters\.yml, line 1: variables of the environment"),
        ("experiment: one\n", "x: \\\\${oc.env:HOME}\n", "line 1: variables of the environment"),
        ("experiment: one\n", "x: ${nokey}\n", r"parameters\.yml: x: Interpolation key 'nokey' not found"),
        ("experiment: one\n", "x: 1\nx: 2\n", r"parameters\.yml, line 2: the key 'x' stands twice"),
        ("experiment: one\n", "x: ${nothing}\n", "the parameters cannot be read"),
    ],
)
def test_folders_are_named_by_one_name_and_values_are_in_the_files(project, globals_, parameters, text, monkeypatch):
    monkeypatch.setenv("KEDRO_LOGGING_CONFIG", "not used")
    (project / "conf" / "mine" / "globals.yml").write_text(globals_)
    if parameters is not None:
        (project / "conf" / "mine" / "parameters.yml").write_text(parameters)
    with pytest.raises(ConfigurationError, match=text) as caught:
        ConfigurationHooks().after_context_created(context(project))
    assert "\n" not in str(caught.value)


def test_a_section_of_another_kind_in_params_names_no_file(project):
    (project / "conf" / "mine" / "globals.yml").write_text("experiment: one\n")
    (project / "conf" / "mine" / "parameters.yml").write_text("compute: {workers: 1}\nx: ${globals:experiment}\n")
    with pytest.raises(ConfigurationError, match="Cannot merge DictConfig with ListConfig") as caught:
        ConfigurationHooks().after_context_created(context(project, compute=[1]))
    assert "parameters.yml" not in str(caught.value)


def test_a_run_that_the_disk_cannot_hold_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("hyco.config.data_bytes", lambda parameters: 20 * 2**30)
    usage = SimpleNamespace(free=60 * 2**30)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    require_space(tmp_path, {})
    usage.free = 5 * 2**30
    with pytest.raises(ConfigurationError, match=r"5 GB are free on its disk, this run writes about 20 GB: make room"):
        require_space(tmp_path, {})


def test_data_on_disk_may_be_larger_than_what_suffices_for_others(monkeypatch, tmp_path):
    monkeypatch.setattr("hyco.config.data_bytes", lambda parameters: 85 * 2**30)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=60 * 2**30))
    with pytest.raises(ConfigurationError, match=r"60 GB are free on its disk, this run writes about 85 GB"):
        require_space(tmp_path, {"compute": {"on_disk": True}})


def test_the_disk_of_the_data_counts_where_it_is_another_one(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    free = {tmp_path: 100 * 2**30, tmp_path / "data": 2**20}
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=free[path]))
    monkeypatch.setattr("hyco.config.data_bytes", lambda _: 0)
    with pytest.raises(ConfigurationError, match=r"data: 0.000977 GB are free on its disk"):
        require_space(tmp_path, {})


def test_a_folder_that_cannot_be_written_is_told_before_the_run(tmp_path, monkeypatch):
    (tmp_path / "data" / "models").mkdir(parents=True)
    files = [tmp_path / "data" / "models" / "new" / "last.safetensors", tmp_path / "data" / "report" / "report.json"]
    require_writable(files)
    assert not any(file.parent.exists() for file in files)
    closed = tmp_path / "data" / "models"
    monkeypatch.setattr("os.access", lambda folder, _: folder != closed)
    with pytest.raises(ConfigurationError, match=rf"^{closed} cannot be written \(it is read-only .*\), and this run"):
        require_writable(files)
    (tmp_path / "data" / "report").touch()
    with pytest.raises(ConfigurationError, match=r"data/report cannot be written \(it is no folder\)"):
        require_writable(files[1:])


def test_what_a_folder_cannot_be_made_of_is_told_before_the_run(tmp_path, monkeypatch):
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    long = "x" * 300
    for name, reason in (
        ("nowhere", "a link to nothing"),
        ("round", "levels of symbolic links"),
        (long, "name too long"),
    ):
        with pytest.raises(ConfigurationError, match=rf"{name}.* cannot be written \(.*{reason}\)"):
            require_writable([tmp_path / name / "inner" / "report.json"])
    lstat = type(tmp_path).lstat

    def closed(path):
        if path.parent.name == "closed":
            raise PermissionError(13, "Permission denied")
        return lstat(path)

    monkeypatch.setattr(type(tmp_path), "lstat", closed)
    with pytest.raises(ConfigurationError, match=r"closed/inner cannot be written \(Permission denied\)"):
        require_writable([tmp_path / "closed" / "inner" / "report.json"])


def test_checkpoints_stay_in_the_project_unless_an_absolute_path_says_otherwise(tmp_path):
    for folder in (None, "data/mine", str(tmp_path.parent / "elsewhere")):
        require_inside(tmp_path, {"hybrid": {"checkpoint_dir": folder}})
    for folder in ("..", "../elsewhere", "data/../../x"):
        with pytest.raises(ConfigurationError, match=r"hybrid\.checkpoint_dir: .* leaves the project's folder"):
            require_inside(tmp_path, {"hybrid": {"checkpoint_dir": folder}})
