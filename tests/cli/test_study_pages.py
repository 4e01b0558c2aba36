"""The experiments of the pages on data that others measured are read as they stand there."""

import os
import re
import shutil
from pathlib import Path

import pytest

DATA = Path(os.environ.get("HYCO_MEASURED_DATA", "measured"))
STUDIES = Path(__file__).parents[2] / "docs" / "studies"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "folder", "told"),
    [
        ("scratch_assay", "scratch_assay", ["∂u/∂t = D*laplace(u) + r*u*(1 - u/K)", "555 of 570 values", "σ 0.000127"]),
        ("tracer_column", "tracer_column", ["c at x = 0: c = 1.0; at x = 30: no slope", "105 of 105 values"]),
    ],
)
def test_the_pages_experiment_is_understood(page, folder, told, project, hyco):
    if not (DATA / folder).exists():
        pytest.skip(f"needs {folder} under HYCO_MEASURED_DATA: public data that the project does not hold")
    for path in (DATA / folder).glob("*.csv"):
        shutil.copy(path, project / "data" / "01_raw")
    text = (STUDIES / f"{page}.md").read_text(encoding="utf-8")
    ((name, section),) = re.findall(r"```yaml\n# conf/(\w+)/parameters\.yml\n(.*?)```", text, re.DOTALL)
    (project / "conf" / name).mkdir()
    (project / "conf" / name / "parameters.yml").write_text(section, encoding="utf-8")
    (project / "conf" / name / "globals.yml").write_text(f"experiment: {name}\n", encoding="utf-8")
    done = hyco("check", "--env", name)
    assert done.exit_code == 0, done.output
    for line in told:
        assert line in done.output
    for command in re.findall(r"^hyco .*$|^kedro .*$", text, re.MULTILINE):
        assert f"--env {name}" in command
