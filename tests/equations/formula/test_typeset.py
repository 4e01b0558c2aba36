import pytest

from hyco.equations.formula.typeset import rate_latex
from hyco.plots.formula import formula_svg


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("D*laplace(u) + r*u*(1 - u/K)", r"D\,\Delta u + r\,u\,\left(1 - \frac{u}{K}\right)"),
        ("div(D*grad(u)) - (a - b)", r"\nabla \cdot \left(D\,\nabla u\right) - \left(a - b\right)"),
        ("-c*dx(u**2)", r"-c\,\partial_{x} \left(u^{2}\right)"),
        ("kappa_u*sin(2*pi*x)", r"\kappa_{\mathrm{u}}\,\mathrm{sin}\left(2\,\pi\,x\right)"),
        ("1.5e-3*u/sqrt(k0)", r"\frac{1.5e-3\,u}{\sqrt{k_{0}}}"),
        ("dot([a, b], grad(u))", r"\left(a, b\right) \cdot \left(\nabla u\right)"),
    ],
)
def test_a_formula_as_it_is_printed(text, latex):
    found = rate_latex("u", text)
    assert found.replace("0.0015", "1.5e-3") == rf"\partial_t u = {latex}"
    assert formula_svg(found).startswith("<svg")
