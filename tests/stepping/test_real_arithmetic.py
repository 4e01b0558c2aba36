"""Complex numbers as pairs of real ones: the same values and gradients, and nothing complex but the transforms."""

import pytest
import torch
from torch import fx

from hyco.stepping.rewrites.real_arithmetic import compute_with_pairs

GENERATOR = torch.Generator().manual_seed(5)
z, w = torch.randn(2, 3, 6, 8, dtype=torch.complex128, generator=GENERATOR)
r = torch.randn(6, 8, dtype=torch.float64, generator=GENERATOR)
CONSTANTS = {
    "general": torch.randn(6, 8, dtype=torch.complex128, generator=GENERATOR),
    "real": r.to(torch.complex128),
    "imaginary": 1j * r,
    "zero": torch.zeros(8, dtype=torch.complex128),
}


def recorded(run):
    """`run(z, w, r, constant)` as the graph that a step has: with what its nodes are of."""
    given = {"z": z, "w": w, "r": r}

    class Step(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name, value in CONSTANTS.items():
                self.register_buffer(name, value)

        def forward(self, z, w, r):
            return run(z, w, r, self)

    module = fx.symbolic_trace(Step())

    class Noting(fx.Interpreter):
        def run_node(self, node):
            found = super().run_node(node)
            node.meta["recorded" if node.op == "placeholder" else "val"] = found
            return found

    Noting(module).run(*given.values())
    return module


@pytest.mark.parametrize("constant", CONSTANTS)
@pytest.mark.parametrize(
    "run",
    [
        lambda z, w, r, c: torch.mul(z, c),
        lambda z, w, r, c: torch.mul(c, torch.mul(z, w)),
        lambda z, w, r, c: torch.mul(torch.mul(c, z), c),
        lambda z, w, r, c: torch.addcmul(z, w, c),
        lambda z, w, r, c: torch.addcmul(torch.mul(z, c), c, w, value=-0.3),
        lambda z, w, r, c: torch.sub(torch.add(z, c, alpha=2.5), torch.mul(w, r), alpha=0.5),
        lambda z, w, r, c: torch.add(torch.mul(torch.mul(r, z), -2.0), torch.mul(3, torch.mul(w, c))),
        lambda z, w, r, c: torch.mul(torch.view_as_complex(torch.mul(torch.view_as_real(z), 2.0)), c),
        lambda z, w, r, c: torch.add(torch.mul(z, torch.select(torch.view_as_real(z), -1, 0)), torch.mul(z, c)),
    ],
)
def test_pairs_give_what_complex_numbers_give(run, constant):
    module = recorded(lambda z, w, r, step: torch.view_as_real(run(z, w, r, getattr(step, constant))))
    compute_with_pairs(module)
    module.recompile()
    targets = [node.target for node in module.graph.nodes if node.op == "call_function"]
    assert torch.view_as_complex not in targets[-1:]
    assert torch.addcmul not in targets

    def of(function, *leaves):
        out = function(*leaves)
        return [out, *torch.autograd.grad(out.square().sum(), leaves, allow_unused=True)]

    def expected(z, w, r):
        return torch.view_as_real(run(z, w, r, CONSTANTS[constant]))

    leaves = [value.clone().requires_grad_(True) for value in (z, w, r)]
    for found, wanted in zip(of(module, *leaves), of(expected, *leaves), strict=True):
        assert (found is None) == (wanted is None)
        assert wanted is None or torch.allclose(found, wanted, rtol=1e-13, atol=1e-13)


def test_of_a_constant_without_real_part_two_products_are_left():
    for constant, products in (("general", 4), ("real", 2), ("imaginary", 2)):
        module = recorded(lambda z, w, r, step, name=constant: torch.mul(z, getattr(step, name)))
        compute_with_pairs(module)
        assert sum(node.target is torch.mul for node in module.graph.nodes) == products


def test_what_is_no_sum_or_product_stays():
    module = recorded(lambda z, w, r, step: torch.mul(torch.mul(torch.roll(z, 1, 1), 2j), step.general))
    compute_with_pairs(module)
    module.recompile()
    assert torch.allclose(module(z, w, r), z.roll(1, 1) * 2j * CONSTANTS["general"], rtol=1e-14, atol=1e-14)
    assert sum(node.target is torch.mul for node in module.graph.nodes) == 1 + 4


@pytest.mark.parametrize(
    ("run", "complex_products"),
    [
        (lambda x, w: torch._fft_c2r(torch.mul(x, w), [1, 2], 2, 14), 1),
        (lambda x, w: torch.mul(torch._fft_c2r(torch.mul(x, w), [1, 2], 2, 14), torch._fft_c2r(x, [1, 2], 2, 14)), 0),
        (lambda x, w: torch._fft_c2r(torch.mul(torch.mul(x, w), w), [1, 2], 2, 14), 0),
        (lambda x, w: torch.view_as_real(torch.mul(x, w)), 0),
    ],
)
def test_a_product_alone_between_two_transforms_stays_one_operation(run, complex_products):
    def whole(w):
        return run(torch._fft_c2c(w, [1, 2], 0, True), w)

    module = recorded(lambda z, w, r, step: whole(w))
    compute_with_pairs(module)
    module.recompile()
    assert torch.allclose(module(z, w, r), whole(w), rtol=1e-12, atol=1e-12)
    products = [node for node in module.graph.nodes if node.target is torch.mul]
    assert sum(node.meta.get("val", r).is_complex() for node in products) == complex_products


@pytest.mark.parametrize(
    "run",
    [
        lambda z, w, r: torch.add(z, w, alpha=1j),
        lambda z, w, r: torch.addcmul(z, w, w, value=0.5j),
        lambda z, w, r: torch.mul(z.to(torch.complex64), r[0, 0]),
        lambda z, w, r: torch.add(z.to(torch.complex64), w[0, 0, 0]),
    ],
)
def test_what_pairs_cannot_say_stays(run):
    """Complex weights; and a number of another precision, which would count once it has a dimension."""
    module = recorded(lambda z, w, r, step: torch.view_as_real(run(z, w, r)))
    compute_with_pairs(module)
    module.recompile()
    found, expected = module(z, w, r), torch.view_as_real(run(z, w, r))
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)
