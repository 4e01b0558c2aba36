"""Every way to write a boundary, and what is said of those that are none."""

import math

import pytest

from hyco.equations.registry import build_equation
from hyco.walls.boundary import Boundary, in_short
from hyco.walls.neumann import Neumann
from hyco.walls.periodic import Periodic
from hyco.walls.value import Value

THEIRS = """\
from hyco.walls.wall import Wall

class Robin(Wall):
    a: float
    b: float
    c: float = 0.0

    @property
    def condition(self):
        return self.a, self.b, self.c

class Forgotten(Wall):
    pass

class Other:
    pass

number = 3
"""


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    (tmp_path / "their_walls.py").write_text(THEIRS)
    (tmp_path / "broken_walls.py").write_text("import no_such_module_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)


def heat(boundary):
    domain = {"x": {"size": 1.0, "resolution": 8}, "y": {"size": 1.0, "resolution": 6}}
    section = {"name": "heat", "domain": domain, "boundary": boundary, "dt": 0.1, "max_diffusivity": 1.0}
    return build_equation(section | {"parameters": {"diffusivity": 0.1}})


def test_the_walls_of_every_way_to_write_a_boundary(theirs):
    assert Boundary.of("periodic")["x"] == (Periodic(), Periodic())
    assert Boundary.of({"x": 2, "y": "neumann"})["x"] == (Value(value=2.0), Value(value=2.0))
    assert Boundary.of({"x": {"lower": "neumann", "upper": 1.0}})["x"] == (Neumann(), Value(value=1.0))
    assert Boundary.of({"value": 1.5})["y"] == (Value(value=1.5), Value(value=1.5))
    assert Boundary.of({"x": {"value": 1.5}}, ["x"])["x"] == Boundary.of(1.5)["x"]
    assert Boundary.of({"x": {"lower": {"value": {"value": 2.0}}, "upper": {"neumann": None}}})["x"] == (
        Value(value=2.0),
        Neumann(),
    )
    assert Boundary.of({"value": "1.5"})["x"] == Boundary.of(1.5)["x"] == Boundary.of("3/2")["x"]
    assert Boundary.of("1 + t")["x"].lower.names == {"t"}
    assert Boundary.of({"robin": {"a": "k", "b": 1, "c": "k*sin(t)*x"}})["x"].upper.names == {"t", "k", "x"}
    robin = {"their_walls:Robin": {"a": 1.0, "b": 0.5, "c": 0.2}}
    walls = Boundary.of({"x": robin, "y": {"lower": 0.0, "upper": robin}}, ["x", "y"])
    assert walls["x"].lower.condition == walls["y"].upper.condition == (1.0, 0.5, 0.2)
    assert walls["y"].plain == {"lower": 0.0, "upper": robin}
    assert Boundary.of(walls) is walls


@pytest.mark.parametrize(
    "boundary", ["periodic", "neumann", 0.0, -2, {"x": "periodic", "y": {"lower": 0.0, "upper": "neumann"}}]
)
def test_boundaries_that_are_allowed(boundary):
    assert heat(boundary).layout.to_dict()["fields"][0]["boundary"] == boundary


@pytest.mark.parametrize(
    ("boundary", "message"),
    [
        (
            "open",
            "boundary 'open': unknown name open, neither a wall nor one of t, x, y, diffusivity .a parameter",
        ),
        ("2*", r"boundary '2\*' is not allowed; allowed: periodic, neumann, a number"),
        (
            {"x": {"lower": 0, "upper": {"flux": "q*z"}}, "y": 0},
            "boundary.x.upper {'flux': 'q[*]z'}: unknown name q, z",
        ),
        (True, "True is not allowed"),
        (math.nan, "nan is not allowed"),
        (None, "None is not allowed"),
        (["periodic"], "not allowed"),
        ({"x": 0.0}, r"one entry per axis \(x, y\) or one wall, got x"),
        ({"x": 0.0, "y": 0.0, "z": 0.0}, "one entry per axis"),
        ({"lower": 0.0, "upper": 0.0}, "one entry per axis"),
        ({"x": {"lower": 0.0}, "y": 0.0}, "boundary.x needs lower and upper, got lower"),
        ({"x": {}, "y": 0.0}, "boundary.x needs lower and upper, got nothing"),
        ({"x": {"value": 0.0, "neumann": None}, "y": 0.0}, "boundary.x needs lower and upper, got value, neumann"),
        ({"x": {"lower": "periodic", "upper": 0.0}, "y": 0.0}, "boundary.x: both ends of an axis must be periodic"),
        (
            {"x": {"lower": {"robbin": 1.0}, "upper": 0.0}, "y": 0.0},
            "boundary.x.lower: unknown wall 'robbin'; available: column, flux, neumann, periodic, robin, sensor, table",
        ),
        ({"value": "1/0"}, "value: value: .*'1/0': .*division by zero"),
        ({"column": "T"}, "column: 'T' is a column of a file, and this experiment has no section measurements"),
        ({"table": {"times": [0, 2, 1], "values": [1, 2, 3]}}, "table: times: .*must rise, but number 3 is 1 after 2"),
        ({"table": {"times": [0, 1], "values": [1, 2, 3]}}, "there are 2 times, but 3 values"),
        ({"table": {"times": [0, 1], "values": [1, math.nan]}}, "table: values.1: Input should be a finite number"),
        ({"value": True}, "value: value: .*a number or a formula is needed"),
        ({"value": math.inf}, "value: value.*: Input should be a finite number"),
        ({"neumann": 1.0}, r"neumann: got 1.0; its arguments by name: none"),
        ("their_walls:Robin", r"their_walls:Robin: a: Field required; b: Field required \(its arguments: a, b, c\)"),
        ({"their_walls:Robin": 1.0}, "their_walls:Robin: got 1.0; its arguments by name: a, b, c"),
        ({"their_walls:Robin": {"a": 1, "b": "hot"}}, "their_walls:Robin: b: Input should be a valid number"),
        ({"their_walls:Robin": {"a": 1, "b": 2, "d": 3}}, "their_walls:Robin: d: Extra inputs are not permitted"),
        ({"their_walls:Robin": {"a": 0, "b": 0}}, "their_walls:Robin: with a = b = 0 .* says nothing"),
        (
            "their_walls:Missing",
            "wall 'their_walls:Missing': their_walls has no Missing; its classes are: Robin, Forgotten, Other",
        ),
        ("their_walls:number", "wall 'their_walls:number': 3 is no class"),
        ("their_walls:Other", "wall 'their_walls:Other': Other is no subclass of hyco.walls.wall.Wall"),
        ("their_walls:Forgotten", "wall 'their_walls:Forgotten': Forgotten has no condition"),
        ("no_such_walls:Robin", "there is no module 'no_such_walls'"),
        ("broken_walls:Robin", "importing broken_walls fails: .*no_such_module_at_all"),
    ],
)
def test_boundaries_that_are_not_allowed_say_what_is(theirs, boundary, message):
    with pytest.raises(ValueError, match=message):
        heat(boundary)


RATES = {"diffusivity_u": 0.1, "diffusivity_v": 0.1, "feed": 0.1, "kill": 0.1}


@pytest.mark.parametrize(
    ("section", "allowed"),
    [
        ({"name": "inviscid_burgers", "max_speed": 1.0, "parameters": {"potential": 0.0}}, "'periodic'"),
        ({"name": "gray_scott", "parameters": RATES}, "'periodic' or 'neumann'"),
    ],
)
def test_an_equation_that_does_not_serve_a_wall_says_which_it_serves(section, allowed):
    section |= {"domain": {"x": {"size": 1.0, "resolution": 8}}, "dt": 0.01, "boundary": 0.0}
    with pytest.raises(ValueError, match=f"boundary\n *Input should be {allowed}"):
        build_equation(section)


def test_a_table_is_short_for_readers():
    boundary = {"x": {"lower": {"table": {"times": [0.0, 1.0, 3.0], "values": [2.0, -1.0, 0.5]}}, "upper": "neumann"}}
    assert in_short(boundary) == {"x": {"lower": "a table of 3 times, -1 to 2", "upper": "neumann"}}
    section = {"name": "formula", "domain": {"x": {"size": 1.0, "resolution": 16}}, "dt": 0.1, "boundary": boundary}
    equation = build_equation(section | {"rates": {"u": "D*laplace(u)"}, "parameters": {"D": 0.1}})
    words = "u at x = 0: u = a table of 3 times, -1 to 2; at x = 1: no slope, ∂u/∂n = 0"
    assert words in [text for title, text in equation.described() if title == "walls"]
