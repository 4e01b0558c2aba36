"""An exported network runs in a process that has torch and no hyco, and gives what a rollout gives."""

import json
import subprocess
import sys
import zipfile

import pytest
import torch
from torch import nn

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.networks.coordinate_model import CoordinateModel
from hyco.networks.export import DESCRIPTION, ExportError, export_network
from hyco.networks.synthetic import Base, SyntheticModel

LINE = Layout(Grid(("x",), (0.0,), (1.0,), (16,)), (FieldSpec("a"), FieldSpec("b")))
PLANE = Layout(Grid(("x", "y"), (0.0, 0.0), (1.0, 2.0), (16, 16)), (FieldSpec("v", ("x", "y"), boundary="neumann"),))
FACES = Layout(
    Grid(("x", "y"), (0.0, 0.0), (1.0, 2.0), (16, 16)),
    (FieldSpec("v", ("x", "y"), staggered=True, boundary=0.0),),
)
# About 20, with small changes: float32 outside would lose them.
STATISTICS = {"mean": [20.0, -3.0], "std": [0.5, 2.0]}

ALONE = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("hyco", "phi", "phiml", "kedro"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
import torch
def refuse(*arguments, **options):
    raise AssertionError("something is unpickled")
torch.load = refuse
program = torch.export.load(sys.argv[1]).module()
inputs = [torch.frombuffer(bytearray(open(f, "rb").read()), dtype=torch.float64) for f in sys.argv[3:]]
shape = [int(n) for n in sys.argv[2].split(",")]
states = inputs[0].reshape(shape)
steps = []
for _ in range(3):
    states = program(states)
    steps.append(states)
sys.stdout.buffer.write(torch.stack(steps, dim=1).numpy().tobytes())
"""


def stepping(layout, name, **changes):
    """A network with random weights in its last layer, too."""
    statistics = {key: torch.tensor(value) for key, value in STATISTICS.items()}
    model = SyntheticModel.create(
        {"name": name, **changes}, layout, **statistics, change_std=torch.tensor([0.05, 0.1]), seed=0
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.1 * torch.randn(weights.shape, generator=generator)
    return model


def states_of(layout, count):
    normal = torch.randn(
        (count, len(layout.channels), *layout.shape), generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    wide = (1, 2, *[1] * len(layout.shape))
    mean, std = (torch.tensor(STATISTICS[key], dtype=torch.float64).reshape(wide) for key in ("mean", "std"))
    return (mean + std * normal) * layout.valid


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "name"),
    [
        (LINE, "resnet"),
        pytest.param(LINE, "fno", marks=pytest.mark.slow),
        pytest.param(PLANE, "unet", marks=pytest.mark.slow),
        pytest.param(PLANE, "dilated_resnet", marks=pytest.mark.slow),
        pytest.param(FACES, "resnet", marks=pytest.mark.slow),
    ],
    ids=["resnet", "fno", "unet", "dilated_resnet", "faces"],
)
def test_an_exported_network_steps_states_without_hyco(layout, name, tmp_path):
    model, states = stepping(layout, name), states_of(layout, 5)
    path = tmp_path / "network.pt2"
    export_network(model, path, method="synthetic")
    (tmp_path / "states").write_bytes(states.numpy().tobytes())
    shape = ",".join(map(str, states.shape))
    done = subprocess.run(
        (sys.executable, "-c", ALONE, str(path), shape, str(tmp_path / "states")), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    expected = model.rollout(states, 3)
    found = torch.frombuffer(bytearray(done.stdout), dtype=torch.float64).reshape(expected.shape)
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert float((expected - states[:, None]).abs().max()) > 0.01
    assert sorted(p.name for p in tmp_path.iterdir()) == ["network.pt2", "states"]


def test_the_file_describes_itself_and_holds_no_pickle(tmp_path):
    export_network(stepping(LINE, "resnet", filters=4, blocks=1), tmp_path / "network.pt2", method="synthetic")
    about = {DESCRIPTION: ""}
    program = torch.export.load(tmp_path / "network.pt2", extra_files=about).module()
    described = json.loads(about[DESCRIPTION])
    assert described["channels"] == ["a", "b"]
    assert described["method"] == "synthetic"
    assert Layout.from_dict(described["layout"]) == LINE
    for count in (1, 2, 7):
        assert program(states_of(LINE, count)).shape == (count, 2, 16)
    with zipfile.ZipFile(tmp_path / "network.pt2") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert not [name for name, data in contents.items() if b"data.pkl" in data or name.endswith(".pkl")]


@pytest.mark.parametrize("steps", [6, 1], ids=["in time", "static"])
def test_a_network_of_coordinates_gives_the_values_at_places_and_times(steps, tmp_path):
    statistics = {key: torch.tensor(value) for key, value in STATISTICS.items()}
    network = {"name": "mlp", "width": 8, "depth": 2}
    model = CoordinateModel.create(network, LINE, dt=0.1, steps=steps, **statistics, seed=0)
    export_network(model, tmp_path / "network.pt2")
    program = torch.export.load(tmp_path / "network.pt2").module()
    expected = model.rollout(torch.zeros(1, 2, 16, dtype=torch.float64), steps)[0, -1]
    positions = torch.from_numpy(LINE.grid.centers("x"))[:, None]
    times = () if steps == 1 else (torch.full((16,), 0.1 * steps, dtype=torch.float64),)
    assert torch.allclose(program(positions, *times), expected.T, rtol=0, atol=1e-6)
    assert program(positions[:3], *(t[:3] for t in times)).shape == (3, 2)


class Nothing(Base):
    def forward(self, z):
        return z

    def describe(self):
        return {}


class Branching(nn.Module):
    def forward(self, x):
        return x if float(x.sum()) > 0 else -x


def test_what_has_no_exported_form_is_said(tmp_path):
    model = stepping(LINE, "resnet", filters=4, blocks=1)
    with pytest.raises(ExportError, match=r"has the ending \.pt2"):
        export_network(model, tmp_path / "network.pt")
    model.correct(Nothing())
    with pytest.raises(ExportError, match="corrects a physical step"):
        export_network(model, tmp_path / "network.pt2")
    model.correct(None)
    model.network = Branching()
    with pytest.raises(ExportError, match="the network resnet has no exported form: "):
        export_network(model, tmp_path / "network.pt2")
    assert not list(tmp_path.iterdir())
