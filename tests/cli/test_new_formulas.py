"""`hyco new --equation` with formulas: an equation of one's own, guessed from the data's scales, that runs as it is."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import yaml

from hyco.equations.formula.units import units_of
from hyco.equations.registry import build_equation

FISHER = "D*laplace(u) + r*u*(1 - u/K)"
TRUE = {"D": 0.3, "r": 0.9, "K": 2.0}


def fisher(cells=24, noise=0.02):
    """Spread and growth between walls without flux, by finite volumes and an adaptive solver: x, t, u in rows."""
    size, times = 12.0, np.linspace(0, 5, 11)
    h = size / cells
    x = (np.arange(cells) + 0.5) * h

    def rate(_, u):
        flux = np.concatenate([[0.0], TRUE["D"] * np.diff(u) / h, [0.0]])
        return np.diff(flux) / h + TRUE["r"] * u * (1 - u / TRUE["K"])

    start = 0.2 + 1.5 * np.exp(-(((x - 4) / 1.5) ** 2))
    u = scipy.integrate.solve_ivp(rate, (0, 5), start, "LSODA", times, rtol=1e-9, atol=1e-11).y.T
    u = u + noise * np.random.default_rng(0).standard_normal(u.shape)
    t, places = np.meshgrid(times, x, indexing="ij")
    return pd.DataFrame({"time": t.ravel(), "x": places.ravel(), "density": u.ravel(), "other": -u.ravel()})


@pytest.fixture
def new(project, hyco):
    """`hyco new` of a table; the sections, and what was said."""

    def function(frame, *equations):
        frame.to_csv(project / "data" / "01_raw" / "a.csv", index=False)
        options = [part for each in equations for part in ("--equation", each)]
        done = hyco("new", "mine", "--from", "data/01_raw/a.csv", "--force", *options)
        if done.exit_code:
            return done.exit_code, done.output
        return yaml.safe_load((project / "conf" / "mine" / "parameters.yml").read_text(encoding="utf-8")), done.output

    return function


def learnt(sections):
    return {entry["name"]: entry for entry in sections["physical"]["learnable_parameters"]}


def test_names_that_are_no_fields_are_learnt_with_guesses_by_their_units(new):
    sections, output = new(fisher(), FISHER)
    equation = sections["equation"]
    assert equation["rates"] == {"u": FISHER}
    assert equation["fields"] == {"u": {"lower": 0.0}}
    assert equation["boundary"] == "neumann"
    assert sections["measurements"]["fields"] == {"u": "density"}
    parameters = learnt(sections)
    assert list(parameters) == ["D", "r", "K"]
    assert parameters["D"]["initial_guess"] == pytest.approx(0.01 * 12**2 / 5, rel=0.05)
    assert parameters["r"]["initial_guess"] == pytest.approx(1 / 5)
    assert parameters["K"]["initial_guess"] == pytest.approx(2, rel=0.1)
    for name, value in TRUE.items():
        low, high = parameters[name]["bounds"]
        assert low < value < high
    assert f"formula:    ∂u/∂t = {FISHER}" in output
    assert "unknown:    D, 0.29 to 29 (L²/T)" not in output
    assert "(L²/T)" in output


def test_a_field_is_the_column_of_that_name(new):
    sections, _ = new(fisher(), "D*laplace(density) - k*density")
    assert sections["measurements"]["fields"] == {"density": "density"}
    assert list(sections["equation"]["rates"]) == ["density"]
    # Where the file has no such name, it is what is differentiated.
    sections, _ = new(fisher(), "c*laplace(phi) + phi - phi**3 + k")
    assert list(sections["equation"]["rates"]) == ["phi"]


@pytest.mark.parametrize("equations", [["u: a*laplace(u) - b*u*v; v: c*u"], ["u: a*laplace(u) - b*u*v", "v: c*u"]])
def test_several_fields_stand_in_one_text_or_in_several(equations, new):
    sections, _ = new(fisher(), *equations)
    assert sections["equation"]["rates"] == {"u": "a*laplace(u) - b*u*v", "v": "c*u"}
    assert sections["measurements"]["fields"] == {"u": "density", "v": "other"}
    assert sections["equation"]["fields"] == {"u": {"lower": 0.0}, "v": {}}
    assert list(learnt(sections)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("rates", "units"),
    [
        ({"u": "D*laplace(u) + r*u*(1 - u/K)"}, {"D": (2, -1, 0), "r": (0, -1, 0), "K": (0, 0, 1)}),
        ({"u": "-v*dx(u) + D*dx(dx(u))"}, {"v": (1, -1, 0), "D": (2, -1, 0)}),
        ({"u": "div(D*(u/K)**m*grad(u))"}, {"D": (2, -1, 0), "K": (0, 0, 1), "m": (0, 0, 0)}),
        ({"u": "-a*u*dx(u) - b*dx(dx(dx(u)))"}, {"a": (1, -1, -1), "b": (3, -1, 0)}),
        (
            {"u": "-k*u**2 + s*exp(-((x - x0)/w)**2)"},
            {"k": (0, -1, -1), "s": (0, -1, 1), "x0": (1, 0, 0), "w": (1, 0, 0)},
        ),
        ({"u": "-b*u*v", "v": "b*u*v - g*v"}, {"g": (0, -1, 0, 0)}),
        ({"u": "A*sin(w*t + p)"}, {"A": (0, -1, 1), "w": (0, -1, 0), "p": (0, 0, 0)}),
        ({"u": "c*laplace(u) + u - u**3"}, {"c": (2, -1, 0)}),
        ({"u": "a*b*u"}, {}),
        ({"u": "a*u + a*u**2"}, {}),
        ({"u": "v", "v": "c**2*laplace(u) - g*v"}, {"c": (1, -1, 0, 0), "g": (0, -1, 0, 0)}),
    ],
)  # fmt: skip
def test_units_are_told_by_the_places_of_parameters(rates, units):
    names = [n for n in ("D", "r", "K", "v", "m", "a", "b", "k", "s", "x0", "w", "g", "A", "p", "c") if n not in rates]
    used = [n for n in names if any(n in text.replace("laplace", "").replace("grad", "") for text in rates.values())]
    found = units_of(rates, [n for n in used if n in units or len(rates) == 2 or not units], ("x",))
    assert {name: found[name] for name in units} == units
    if not units:
        assert found == {}


def test_a_field_that_no_column_is_of_is_hidden(new, hyco):
    """A damped string of which only the displacement was measured."""
    sections, output = new(
        fisher().rename(columns={"density": "u"})[["time", "x", "u"]], "u: v; v: c**2*laplace(u) - g*v"
    )
    assert sections["measurements"]["fields"] == {"u": "u"}
    assert list(sections["equation"]["fields"]) == ["u", "v"]
    assert sections["observation"]["initial_state"] == "observed"
    assert "hidden:     v, never measured, unknown at t = 0" in output
    assert learnt(sections)["c"]["bounds"][0] > 0, "its sign makes no difference"
    checked = hyco("check", "--env", "mine")
    assert checked.exit_code == 0, checked.output


def test_values_that_a_field_is_compared_with_are_about_where_it_was_measured(new):
    frame = fisher()
    low, high = frame.density.min(), frame.density.max()
    sections, _ = new(frame, "D*laplace(u) - h*(u - a) + s*u/(u + K)")
    found = learnt(sections)
    assert found["a"]["bounds"] == pytest.approx([2 * low - high, 2 * high - low], rel=0.05)
    assert found["a"]["initial_guess"] == pytest.approx((low + high) / 2, rel=0.05)
    assert found["K"]["bounds"] == pytest.approx([0.01 * high, 30 * high], rel=0.05)


@pytest.mark.parametrize(
    ("low", "high", "formula", "bounds", "guess"),
    [
        (293.1, 293.5, "D*laplace(u) - h*(u - a)", (292.7, 293.9), 293.3),
        (1005.0, 1015.0, "D*laplace(u) - h*(u - a)", (995.0, 1025.0), 1010.0),
        (-30.0, -28.0, "D*laplace(u) + h*(u**2 - a**2)", (26.0, 32.0), 29.0),
    ],
)
def test_such_values_have_the_digits_that_their_changes_need(low, high, formula, bounds, guess, new):
    frame = fisher()
    part = (frame.density - frame.density.min()) / np.ptp(frame.density)
    a = learnt(new(frame.assign(density=low + (high - low) * part), formula)[0])["a"]
    assert a["bounds"] == pytest.approx(bounds, abs=0.02 * (high - low))
    assert a["initial_guess"] == pytest.approx(guess, abs=0.02 * (high - low))


def test_the_number_e_is_pointed_out_and_one_in_a_number_is_not(new):
    _, output = new(fisher(), "D*laplace(u) - e*u")
    assert "look at:    e in the rate of u is the number 2.718: call a coefficient otherwise" in output
    _, output = new(fisher(), "D*laplace(u) - 1e-3*r*u")
    assert "look at:" not in output


def test_a_field_with_noise_about_zero_is_taken_for_positive(new):
    frame = fisher()
    frame["density"] -= 1.02 * frame.density.min()
    sections, _ = new(frame, "D*laplace(u) - V*u/(u + K)")
    assert sections["equation"]["fields"] == {"u": {"lower": 0.0}}


@pytest.mark.parametrize(
    ("equations", "message"),
    [
        (["D*laplace(u"], "--equation: 'D*laplace(u', character 10: '(' is not closed"),
        (["D*laplace(u) + dx(w)"], "say which field it is the rate of change of: 'u: …' (it could be u, w)"),
        (["u: D*laplace(u); u: 1"], "the field u has two rates of change"),
        (["u: D*dy(u)"], "the domain has no axis y; it has x"),
        (["heat", "burgers"], "--equation: heat, burgers: an experiment has one equation"),
        (["formula"], "--equation: formula: give the formulas themselves"),
        (["u: -laplace(u)"], "unstable: the coefficient of ∂x^2 u is -1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(equations, message, new):
    code, output = new(fisher(), *equations)
    assert code == 1
    assert message in output
    assert len(output.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_three_parameters_are_recovered_without_an_edit(new, hyco, project):
    new(fisher(), FISHER)
    checked = hyco("check", "--env", "mine")
    assert checked.exit_code == 0, checked.output
    for line in (f"∂u/∂t = {FISHER}", "linear terms exactly", "u at both ends of x: no slope"):
        assert line in checked.output
    done = hyco("--pipelines", "physical", "--env", "mine")
    assert done.exit_code == 0, (done.output, done.exception)
    report = json.loads((project / "data" / "08_reporting" / "mine" / "report.json").read_text())
    for name, entry in report["methods"]["physical"]["parameters"].items():
        assert entry["identifiable"]
        assert abs(entry["estimate"] - TRUE[name]) < 4 * entry["std"]
        assert entry["std"] < 0.1 * TRUE[name]


def river():
    """A pulse that is carried by five gauges in a tenth of the time measured: a column for each, the first at x = 0."""
    t = np.arange(0, 28801, 300.0)
    moved = {f"C{x} [mg/l]": 5 * np.exp(-(((t - 4000 - x / 0.31) / 1800) ** 2)) for x in (0, 250, 700, 1300, 1900)}
    return pd.DataFrame({"t [s]": t} | moved)


def test_what_passes_quickly_may_be_as_fast(new):
    sections, output = new(river(), "c: -v*dx(c) + D*laplace(c) - k*c")
    bounds = {name: entry["bounds"] for name, entry in learnt(sections).items()}
    # Three times the domain in the time measured would be 0.21.
    assert bounds["v"][0] < -0.31
    assert 0.31 < bounds["v"][1] < 3
    assert bounds["D"][1] > 20
    # A gauge at an end of the domain says what is there.
    assert sections["equation"]["boundary"] == {"x": {"lower": {"sensor": 0.0}, "upper": "neumann"}}
    assert "the sensor there; nothing tells the other end" in output


def held(ends, start, cylinder):
    """Heat between a wall that holds 1 and one without flux, by finite volumes: t, x, T in rows."""
    n, parts, times = 40, 4, np.linspace(0, 3, 13)
    faces = np.linspace(*ends, n * parts + 1)
    x, h = (faces[1:] + faces[:-1]) / 2, faces[1] - faces[0]
    weight = (faces, x) if cylinder else (1.0 + 0 * faces, 1.0 + 0 * x)

    def rate(_, u):
        slopes = np.concatenate([[(u[0] - 1.0) / (h / 2)], np.diff(u) / h, [0.0]])
        return 0.7 * np.diff(weight[0] * slopes) / (weight[1] * h)

    u = scipy.integrate.solve_ivp(rate, (0, 3), start(x), "BDF", times, rtol=1e-8, atol=1e-10).y.T
    u = u.reshape(len(times), n, parts).mean(axis=2)
    u = u + 0.01 * u.std() * np.random.default_rng(7).standard_normal(u.shape)
    t, places = np.meshgrid(times, x.reshape(n, parts).mean(axis=1), indexing="ij")
    return pd.DataFrame({"time": t.ravel(), "r": places.ravel(), "T": u.ravel()})


HELD = {
    # Before the first step the field knows nothing of the wall.
    "from the first moment on": ((1.0, 5.0), lambda r: 0.2 + 0.5 * np.exp(-(((r - 3.8) / 0.55) ** 2)), True),
    "with nothing at the other end": ((0.0, 20.0), lambda r: np.exp(-((r / 2) ** 2)), False),
}


@pytest.mark.parametrize("what", HELD)
def test_a_value_that_a_wall_holds_beside_a_grid_is_learnt(what, new):
    ends, start, cylinder = HELD[what]
    sections, output = new(held(ends, start, cylinder), "D*(dx(dx(T)) + dx(T)/x)" if cylinder else "D*dx(dx(T))")
    domain = sections["equation"]["domain"]["x"]
    assert (domain["lower"], domain["size"], domain["resolution"]) == (ends[0], ends[1] - ends[0], 40)
    assert sections["equation"]["boundary"] == {"x": {"lower": "T_lower", "upper": "neumann"}}, output
    entry = learnt(sections)["T_lower"]
    assert entry["initial_guess"] == pytest.approx(1.0, abs=0.01)
    assert entry["bounds"][0] < 0.5
    assert entry["bounds"][1] > 1.5
    assert "beside the wall" in output or "the values beside" in output


@pytest.mark.parametrize("what", ["gaps", "noise", "times that repeat", "rows"])
def test_a_gauge_where_the_field_moves_is_a_wall_as_it_is(what, new):
    """No number and no slope of zero stands where a cloud comes in."""
    frame = river()
    if what == "gaps":
        frame.loc[3, "C0 [mg/l]"] = np.nan
    if what == "noise":
        frame["C0 [mg/l]"] += 0.1 * np.random.default_rng(0).standard_normal(len(frame))
    if what == "times that repeat":
        frame.loc[3, "t [s]"] = frame.loc[2, "t [s]"]
    if what == "rows":
        frame = frame.melt("t [s]", var_name="x", value_name="c")
        frame["x"] = frame["x"].str.extract(r"(\d+)").astype(float)
    sections, output = new(frame, "c: -v*dx(c) + D*laplace(c)")
    assert sections["equation"]["boundary"] == {"x": {"lower": {"sensor": 0.0}, "upper": "neumann"}}, output


@pytest.mark.parametrize("what", ["two fields", "fourth derivatives", "an equation"])
def test_a_gauge_is_no_wall_where_it_may_not_be(what, new):
    frame, equation = river(), "c: -v*dx(c) + D*laplace(c)"
    if what == "two fields":
        equation = "c: s; s: v**2*laplace(c)"
    if what == "fourth derivatives":
        equation = "c: -D*laplace(laplace(c))"
    if what == "an equation":
        equation = "gray_scott"
    sections, output = new(frame, equation)
    assert sections["equation"].get("boundary", "neumann") == "neumann", output
    assert len(sections["measurements"]["axes"]["x"]) == 5


def test_coefficients_of_high_derivatives_are_as_large_as_what_varies(new):
    x, t = (np.arange(64) + 0.5) * 20 / 64, np.linspace(0, 4, 9)
    u = np.array([np.exp(0.2 * s) * np.sin(2 * np.pi * 9 * x / 20 + 0.3 * s) for s in t])
    frame = pd.DataFrame({"t": np.repeat(t, 64), "x": np.tile(x, 9), "u": u.ravel()})
    sections, _ = new(frame, "-u*dx(u) - laplace(u) - c*laplace(laplace(u))")
    found = learnt(sections)["c"]
    low, high = found["bounds"]
    assert low < (20 / (2 * np.pi * 9)) ** 4 < high
    # Not some of the domain's 20⁴/4.
    assert found["initial_guess"] < 10


def test_a_mixed_derivative_may_have_either_sign(new):
    n, t = 8, np.linspace(0, 1, 3)
    x = (np.arange(n) + 0.5) / n
    times, *places = (part.ravel() for part in np.meshgrid(t, x, x, indexing="ij"))
    u = np.exp(-times) * np.cos(2 * np.pi * (places[0] + 2 * places[1]))
    frame = pd.DataFrame({"t": times, "x": places[0], "y": places[1], "u": u})
    sections, _ = new(frame, "A*dx(dx(u)) + B*dy(dy(u)) + 2*C*dx(dy(u))")
    bounds = {name: entry["bounds"] for name, entry in learnt(sections).items()}
    assert bounds["A"][0] > 0
    assert bounds["B"][0] > 0
    assert bounds["C"][0] == -bounds["C"][1] < 0
    # All waves decay within them.
    assert (
        build_equation(sections["equation"] | {"dt": 0.5, "parameters": {"A": 1, "B": 1, "C": 0}}).config.unsound(
            {name: tuple(ends) for name, ends in bounds.items()}
        )
        is None
    )


def soliton(noise=0.05):
    """A wave that keeps its shape on a periodic axis, u_t = -u u_x - 0.6 u_xxx, measured from x = 0 on."""
    x, times = np.arange(80) * 0.5, np.linspace(0, 6, 7)
    away = (x - 10 - 1.4 * times[:, None] + 20) % 40 - 20
    u = 3 * 1.4 / np.cosh(0.5 * np.sqrt(1.4 / 0.6) * away) ** 2
    u = u + noise * np.random.default_rng(0).standard_normal(u.shape)
    t, places = np.meshgrid(times, x, indexing="ij")
    return pd.DataFrame({"time": t.ravel(), "x": places.ravel(), "eta": u.ravel()})


def test_a_formula_that_is_none_between_walls_has_a_periodic_axis_where_the_ends_are_close(new):
    sections, output = new(soliton(), "eta: -eta*dx(eta) - d*dx(dx(dx(eta)))")
    assert sections["equation"]["boundary"] == "periodic"
    assert "the formulas are none between walls" in output
    assert sections["equation"]["domain"]["x"]["size"] == pytest.approx(40.0)
    # Short waves of the noise in the first state would come back with phases of their own.
    assert sections["observation"]["initial_state"] == "full"
    assert sections["physical"]["initial_state"]["length_scale"] == "auto"


def test_a_front_that_is_narrower_than_smooth_rates_of_change_has_bounds_by_units(new):
    """Smooth rates tell a sixth of D and r: other coefficients leave less of such rates than the true ones."""
    D, r, a = 0.2, 3.0, 0.25
    x, h, times = (np.arange(240) + 0.5) / 6, 1 / 6, np.linspace(0, 10, 41)

    def rate(_, u):
        return np.diff(np.concatenate([[0.0], D * np.diff(u) / h, [0.0]])) / h + r * u * (1 - u) * (u - a)

    u = scipy.integrate.solve_ivp(rate, (0, 10), 1 / (1 + np.exp(2 * (x - 15))), "LSODA", times, rtol=1e-8).y.T
    t, places = np.meshgrid(times, x, indexing="ij")
    frame = pd.DataFrame({"time": t.ravel(), "x": places.ravel(), "u": u.ravel()})
    sections, _ = new(frame, "D*laplace(u) + r*u*(1 - u)*(u - a)")
    for name, true in {"D": D, "r": r, "a": a}.items():
        low, high = learnt(sections)[name]["bounds"]
        assert low < true < high


def test_such_an_axis_has_its_period_also_where_walls_at_the_outermost_positions_would_fit(new):
    frame = soliton(0.0)
    frame["eta"] += 0.02 * np.random.default_rng(11).standard_normal(len(frame))  # they fit to this noise
    sections, output = new(frame, "eta: -eta*dx(eta) - d*dx(dx(dx(eta)))")
    assert sections["equation"]["boundary"] == "periodic", output
    assert sections["equation"]["domain"]["x"]["size"] == pytest.approx(40.0)
    assert sections["equation"]["domain"]["x"]["resolution"] == 80


@pytest.mark.parametrize(
    "equation", ["eta_t = -eta*eta_x - d*eta_xxx", "deta/dt = -eta*eta_x - d*eta_xxx", "-eta*eta_x - d*eta_xxx"]
)
def test_subscripts_of_a_field_are_derivatives(new, equation):
    sections, output = new(soliton(), equation)
    assert sections["equation"]["rates"] == {"eta": "-eta*dx(eta) - d*dx(dx(dx(eta)))"}, output
    assert list(learnt(sections)) == ["d"], "no unknown parameter is called eta_x"


def test_a_name_of_the_file_is_no_derivative(new):
    frame = soliton().rename(columns={"eta": "u_x"})
    sections, _ = new(frame.assign(u=frame["u_x"]), "u: D*u_xx - u_x; u_x: -k*u_x")
    assert sections["equation"]["rates"] == {"u": "D*dx(dx(u)) - u_x", "u_x": "-k*u_x"}


def test_the_second_derivative_in_time_is_refused_with_what_can_be_done(new):
    code, output = new(soliton(), "eta_tt = c*eta_xx")
    assert code
    assert "second order in time is written with two fields" in output
