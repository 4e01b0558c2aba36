"""An equation in a file of the user's: the one that docs/equations.md shows, and wrong ones."""

import pytest
import torch

from hyco.config import ConfigurationError, parse
from hyco.equations.registry import EQUATIONS, build_equation
from hyco.hybrid.correction import model_from_bundle
from hyco.pipelines.hybrid.nodes import finalise_hybrid_models
from hyco.runtime.storage import read_bundle, write_bundle
from hyco.sections import merge

FISHER = {
    "name": "my_equation:FisherKPP",
    "domain": {"x": {"size": 10.0, "resolution": 32}},
    "dt": 0.1,
    "max_diffusivity": 1.0,
    "parameters": {"D": 0.2, "r": 1.0, "K": 1.0},
}
LEARNT = [{"name": "D", "initial_guess": 0.5, "bounds": [0.01, 1.0]}]


@pytest.fixture
def fisher(write_example, complete):
    """The sections of an experiment on the equation of the documentation."""
    write_example("equations.md", "my_equation")

    def sections(**changes):
        own = {
            "equation": FISHER,
            "generation": {"length_scale": 1.0, "amplitude": 0.3},
            "physical": {"learnable_parameters": LEARNT, "num_predict_steps": 8},
        }
        return complete(**merge(own, changes))

    return sections


def test_the_example_of_the_documentation_is_short(write_example):
    code = write_example("equations.md", "my_equation")
    assert len([line for line in code.splitlines() if line.strip()]) <= 40


def test_its_keys_are_checked_like_those_of_any_equation(fisher):
    config = parse(fisher())
    assert config.equation.name == "my_equation:FisherKPP"
    for changes, line in (
        ({"max_difusivity": 2.0}, r"equation\.max_difusivity: unknown key \(value 2\.0\)"),
        ({"parameters": {"D": "fast"}}, r"equation\.parameters\.D: 'fast': input should be a valid number"),
        ({"parameters": {"D": 2.0}}, r"equation: parameters\.D leaves what is stable; allowed: 0 to 1"),
        ({"parameters": {"L": 2.0}}, r"equation\.parameters\.L: unknown key"),
        ({"boundary": "open"}, r"equation\.boundary: 'open' is not allowed; allowed: 'periodic' or 'neumann'"),
    ):
        wrong = fisher()
        wrong["equation"] = wrong["equation"] | changes
        if "parameters" in changes:
            wrong["equation"]["parameters"] = FISHER["parameters"] | changes["parameters"]
        with pytest.raises(ConfigurationError, match=line):
            parse(wrong)
    beyond = [LEARNT[0] | {"bounds": [0.01, 3.0]}]
    wrong = fisher()
    wrong["physical"]["learnable_parameters"] = beyond
    with pytest.raises(ConfigurationError, match=r"\[0\.01, 3\.0\] goes beyond what is stable; allowed: 0 to 1"):
        parse(wrong)


def test_a_population_grows_to_its_capacity_and_is_never_negative(fisher, run_nodes):
    states = run_nodes(fisher(generation={"steps": 150})).trajectories.tensors["trajectories"]
    assert float(states.min()) >= 0
    torch.testing.assert_close(states[:, -1], torch.ones_like(states[:, -1]), atol=1e-3, rtol=0)


def test_its_diffusivity_is_recovered_within_the_error_bars(fisher, run_nodes):
    sections = fisher()
    parse(sections)
    final = run_nodes(sections).physical()
    estimate = final["parameters"]["D"]
    assert estimate["identifiable"]
    assert estimate["std"] < 0.02
    assert abs(estimate["estimate"] - 0.2) < 4 * estimate["std"]
    assert final["equation"] == "my_equation:FisherKPP"


@pytest.mark.slow
def test_a_hybrid_goes_on_from_its_checkpoint_and_its_models_are_read_back(fisher, run_nodes, tmp_path):
    assumed = {"name": "my_equation:FisherKPP", "max_diffusivity": 2.0}
    sections = fisher(hybrid={"alpha": "auto", "physical": {"equation": assumed}})
    parse(sections)
    nodes = run_nodes(sections)
    checkpoints = nodes.hybrid()
    write_bundle(tmp_path / "checkpoint.safetensors", checkpoints[3])
    (*_, last) = nodes.hybrid(read_bundle(tmp_path / "checkpoint.safetensors"))
    for name, tensor in checkpoints[-1].tensors.items():
        assert torch.equal(last.tensors[name], tensor), name
    _, physical = finalise_hybrid_models(last)
    assert physical["assumed"]["equation"] == assumed
    methods = nodes.report(last)
    assert methods["hybrid_physical"]["parameters"]["D"]["relative_error"] < 0.1
    assert methods["hybrid_physical"]["nrmse"]["mean"] < methods["persistence"]["nrmse"]["mean"]


def test_a_network_that_corrects_it_is_read_back_only_where_the_file_is(fisher, run_nodes, write_example, tmp_path):
    sections = fisher(hybrid={"correction": True, "epochs": 3})
    parse(sections)
    network, _ = finalise_hybrid_models(run_nodes(sections).hybrid()[-1])
    write_bundle(tmp_path / "model.safetensors", network)
    bundle = read_bundle(tmp_path / "model.safetensors")
    states = torch.rand(2, 1, 32, dtype=torch.float64)
    assert model_from_bundle(bundle).rollout(states, 2).shape == (2, 2, 1, 32)
    write_example.forget("my_equation")
    with pytest.raises(ValueError, match=r"equation 'my_equation:FisherKPP': there is no module 'my_equation'"):
        model_from_bundle(bundle)


HEAD = """
from pydantic import BaseModel
from hyco.equations.equation import Equation, EquationConfig
class Parameters(BaseModel):
    a: float
class Config(EquationConfig):
    parameters: Parameters
"""
STEP = "    def step(self, fields, parameters): return fields\n"
INIT = "    def __init__(self, config): pass\n"
WRONG = {
    "fails on import": (
        "import not_there\n",
        "ModuleNotFoundError: No module named 'not_there' ({m}.py, line 1)",
    ),
    "is no Python": ("def (:\n", "importing {m} fails: SyntaxError: invalid syntax ({m}.py, line 1)"),
    "raises": ("x = 1\n1 / 0\n", "importing {m} fails: ZeroDivisionError: division by zero ({m}.py, line 2)"),
    "has another class": ("class Wave: pass\n", "{m} has no Mine; its classes are: Wave"),
    "has no class": ("Mine = 3\n", "3 is no class"),
    "is no equation": ("class Mine: pass\n", "Mine is no subclass of hyco.equations.equation.Equation"),
    "has no step": (HEAD + "class Mine(Equation):\n    config_class = Config\n" + INIT, "Mine has no step"),
    "has no keys": (
        HEAD + "class Mine(Equation):\n" + STEP + INIT,
        "Mine has no config_class: a subclass of hyco.equations.equation.EquationConfig with its keys",
    ),
    "has other keys": (
        HEAD + "class Mine(Equation):\n    config_class = Parameters\n" + STEP + INIT,
        "the config_class of Mine is <class '{m}.Parameters'>, not a subclass of "
        "hyco.equations.equation.EquationConfig with its keys",
    ),
    "has no parameters": (
        HEAD + "class Mine(Equation):\n    config_class = EquationConfig\n" + STEP + INIT,
        "EquationConfig has no `parameters`: a pydantic model with a number or formula for each coefficient",
    ),
    "insists on a name": (
        "from typing import Literal\n"
        + HEAD
        + "class Own(Config):\n    name: Literal['mine']\n"
        + "class Mine(Equation):\n    config_class = Own\n"
        + STEP
        + INIT,
        "Own does not take this name: leave `name` to EquationConfig",
    ),
    "is made from more": (
        HEAD
        + "class Mine(Equation):\n    config_class = Config\n"
        + STEP
        + "    def __init__(self, config, n): pass\n",
        "Mine is made from its configuration alone: def __init__(self, config)",
    ),
    "steps otherwise": (
        HEAD + "class Mine(Equation):\n    config_class = Config\n    def step(self, u): return u\n" + INIT,
        "Mine.step takes the fields and the parameters: def step(self, fields, parameters)",
    ),
    "leaves out attributes": (
        HEAD + "class Mine(Equation):\n    config_class = Config\n" + STEP + INIT,
        "__init__ does not set self.config, self.layout, self.dt, self.parameters",
    ),
    "cannot be made": (
        HEAD
        + "class Mine(Equation):\n    config_class = Config\n"
        + STEP
        + "    def __init__(self, config): raise RuntimeError('not\\nyet')\n",
        "cannot be made: RuntimeError: not yet ({m}.py, line 11)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_class_that_cannot_be_used_is_refused_with_the_reason(write_module, complete, case):
    code, reason = WRONG[case]
    module = "wrong_equation_" + case.replace(" ", "_")
    write_module(module, code)
    sections = complete()
    sections["equation"] = {"name": f"{module}:Mine", "domain": FISHER["domain"], "dt": 0.1, "parameters": {"a": 1.0}}
    with pytest.raises(ConfigurationError) as caught:
        parse(sections)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"equation: equation '{module}:Mine'")
    assert line.endswith(reason.format(m=module))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere:Mine", "there is no module 'nowhere'; it has to lie in the folder of the project, or elsewhere on"),
        ("hyco.nowhere:Mine", "there is no module 'hyco.nowhere'"),
        ("my_equation:", "is no package.module:Class"),
        ("fisher_kpp", "unknown equation 'fisher_kpp'; available: advection, .*; or package.module:Class"),
    ],
)
def test_a_name_that_leads_nowhere_says_what_it_can_be(complete, name, reason):
    sections = complete()
    sections["equation"] = FISHER | {"name": name}
    with pytest.raises(ConfigurationError, match=reason):
        parse(sections)


def test_an_installed_package_gives_its_equation_a_short_name(write_example, tmp_path):
    write_example("equations.md", "my_equation")
    for package, places in (("one", "my_equation:FisherKPP"), ("other", "elsewhere:FisherKPP")):
        folder = tmp_path / f"{package}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        names = ["fisher_kpp", "heat"] if package == "one" else ["fisher"]
        lines = [f"{name} = {places}\n" for name in (*names, "both")]
        (folder / "entry_points.txt").write_text("[hyco.equations]\n" + "".join(lines))
    assert type(build_equation(FISHER | {"name": "fisher_kpp"})).__name__ == "FisherKPP"
    assert {"fisher_kpp", "fisher", "heat"} < set(EQUATIONS.available())
    assert EQUATIONS.load("heat").__name__ == "Heat", "names of this package are its own"
    with pytest.raises(ValueError, match="several entry points: elsewhere:FisherKPP, my_equation:FisherKPP"):
        EQUATIONS.load("both")
