"""Equations as people write them, and what would be a coefficient without a word."""

import pytest

from hyco.drafts.notation import rates_of
from hyco.equations.formula.syntax import FormulaError

COLUMNS, AXES = ("u", "k"), {"x": "r", "y": "y"}


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("u_t = D*u_xx - u*u_x", {"u": "D*dx(dx(u)) - u*dx(u)"}),
        ("du/dt = nu*u_xy", {"u": "nu*dy(dx(u))"}),
        ("u: D*u_xx; v_t=E*v_yy + D_v", {"u": "D*dx(dx(u))", "v": "E*dy(dy(v)) + D_v"}),
        ("D*u_xx", {"u": "D*dx(dx(u))"}),
        ("D*c_xx + 1e5*c", {"c": "D*dx(dx(c)) + 1e5*c"}),
        ("u_t = D*laplace(u) - K_max*u", {"u": "D*laplace(u) - K_max*u"}),
        ("u_t = max(u_x, 0)*u_xx", {"u": "max(dx(u), 0)*dx(dx(u))"}),
        ("u: D*laplace(u)", {"u": "D*laplace(u)"}),
    ],
)
def test_subscripts_of_fields_are_derivatives(text, rates):
    assert rates_of([text], COLUMNS, AXES) == rates


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("f_t = D*u_xx", 3, r"u is no field of these formulas \(f\)"),
        ("U_t = D*u_xx", 3, "u is no field"),
        ("u_t: D*u_xx", 3, "u is no field"),
        ("u_t = D*u_xx - k_x*u", 10, "k is no field"),
        ("u_t = D*u_xx + u_t", 10, "alone on the left"),
        ("D*u_xx - u_t", 10, "alone on the left"),
        ("u_t = D*uxx", 3, "a derivative is u_xx"),
        ("u_t = D*u_xx - u*ux", 12, "a derivative is u_x"),
        ("u_t = D*u_XX", 3, r"here dx\(dx\(u\)\)"),
        ("du/dt = D*d2u/dx2", 3, r"a derivative is dx\(u\) or u_x"),
        ("du/dt = -u*du/dx", 4, "a derivative is"),
        ("u_t = D*u_rr", 3, r"the axis r of the file is x: here dx\(dx\(u\)\)"),
        ("u_t = D*dx(dx(u)) + D*dx(u)/r", 23, "the axis r of the file is called x in formulas"),
        ("u_t = D*u_x(u)", 3, r"u_x is no function: here dx\(u\)"),
        ("u_tt = c*u_xx", 1, "with two fields"),
        ("u_ttt = c*u_xx", 1, "with more fields"),
        ("u_t + u*u_x = nu*u_xx", 13, "the left side is the rate of change of a field alone"),
        ("u: D*u_xx; u_t = u", None, "two rates of change"),
    ],
)
def test_what_looks_like_a_derivative_and_is_none_is_refused_with_its_place(text, place, reason):
    with pytest.raises(FormulaError, match=reason) as caught:
        rates_of([text], COLUMNS, AXES)
    assert caught.value.place == (None if place is None else place - 1)


def test_what_is_in_the_file_and_a_derivative_too_is_asked_for():
    with pytest.raises(
        FormulaError, match=r"u_x is in the file, and a derivative of u: write dx\(u\), or make it a field"
    ):
        rates_of(["u_t = -u*u_x"], ("u", "u_x"), {"x": "x"})
    with pytest.raises(FormulaError, match="its rate of change is 'u_t: …'"):
        rates_of(["u_t = D*laplace(u_t)"], ("u_t",), {"x": "x"})
    both = rates_of(["u: D*u_xx - u_x; u_x: -k*u_x"], ("u", "u_x"), {"x": "x"})
    assert both == {"u": "D*dx(dx(u)) - u_x", "u_x": "-k*u_x"}
