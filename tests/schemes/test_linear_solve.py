"""The banded direct solver against dense algebra: solution, residual, gradient, tracing, no solution."""

import itertools
import time

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from hyco.schemes.linear_solve import solve_on_grid


def system(space, batch=2, seed=0):
    """A random diagonally dominant system."""
    generator = torch.Generator().manual_seed(seed)
    couplings = -0.1 - torch.rand(batch, len(space), *space, generator=generator, dtype=torch.float64)
    diagonal = torch.full((batch, *space), 4.4 * len(space), dtype=torch.float64)
    diagonal = diagonal * (0.5 + torch.rand(batch, *space, generator=generator, dtype=torch.float64) / 2)
    right = torch.randn(batch, *space, generator=generator, dtype=torch.float64)
    return diagonal, couplings, right


def matrix(diagonal, couplings, wraps):
    """The same system as a dense matrix `[N, N]`, of one sample."""
    space = diagonal.shape
    cells = torch.arange(diagonal.numel()).reshape(space)
    dense = torch.diag(diagonal.flatten())
    for axis, wrap in enumerate(wraps):
        for cell in itertools.product(*(range(n) for n in space)):
            if cell[axis] + 1 == space[axis] and not wrap:
                continue
            other = list(cell)
            other[axis] = (cell[axis] + 1) % space[axis]
            i, j = cells[cell], cells[tuple(other)]
            dense[i, j] += couplings[axis][cell]
            dense[j, i] += couplings[axis][cell]
    return dense


CASES = [
    ((7,), (False,)),
    ((7,), (True,)),
    ((6,), (True,)),
    ((5, 8), (False, False)),
    ((8, 5), (True, False)),
    ((5, 7), (True, True)),
    ((4, 5, 3), (False, True, False)),
]


@pytest.mark.parametrize(("space", "wraps"), CASES)
def test_the_solution_is_that_of_the_dense_system(space, wraps):
    diagonal, couplings, right = system(space)
    found = solve_on_grid(diagonal, couplings, right, wraps)
    for i in range(2):
        expected = torch.linalg.solve(matrix(diagonal[i], couplings[i], wraps), right[i].flatten())
        assert torch.allclose(found[i].flatten(), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("space", "wraps"), [CASES[1], CASES[4]])
def test_gradients_of_first_and_second_order_equal_finite_differences(space, wraps):
    inputs = [t[:1].requires_grad_() for t in system(space)]

    def solve(d, c, b):
        return solve_on_grid(d, c, b, wraps)

    assert torch.autograd.gradcheck(solve, inputs, atol=1e-7)
    assert torch.autograd.gradgradcheck(solve, inputs, atol=1e-6)


def test_a_laplacian_on_the_grid_of_the_truth_takes_little_time_and_leaves_a_residual_near_rounding():
    n = 101
    diagonal = torch.full((1, n, n), 4.0, dtype=torch.float64)
    couplings = torch.full((1, 2, n, n), -1.0, dtype=torch.float64)
    right = torch.randn(1, n, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    solve_on_grid(diagonal, couplings, right, [False, False])  # the ordering is computed once
    begin = time.perf_counter()
    u = torch.nn.functional.pad(solve_on_grid(diagonal, couplings, right, [False, False]), (1, 1, 1, 1))
    assert time.perf_counter() - begin < 2.0  # 0.02 s on one core
    around = u[:, 2:, 1:-1] + u[:, :-2, 1:-1] + u[:, 1:-1, 2:] + u[:, 1:-1, :-2]
    residual = 4 * u[:, 1:-1, 1:-1] - around - right
    assert residual.abs().max() < 1e-14 * 8 * u.abs().max()


def test_a_row_that_has_no_solution_is_nan_and_leaves_the_others_alone():
    wraps = (True, False)
    diagonal, couplings, right = system((6, 5), batch=4)
    expected = solve_on_grid(diagonal, couplings, right, wraps)
    diagonal[0, 2, 3] = -1.0  # not positive definite
    right[1, 0, 0] = torch.nan
    # Pure Neumann: constants are in the kernel.
    couplings[2, 0], couplings[2, 1], couplings[2, 1, :, -1] = -0.3, -0.7, 0.0
    ends = torch.zeros(6, 5, dtype=torch.float64)
    ends[:, 0] = ends[:, -1] = 0.7
    diagonal[2] = 2 * 0.3 + 2 * 0.7 - ends
    found = solve_on_grid(diagonal, couplings, right, wraps)
    assert torch.isnan(found[:3]).all()
    assert torch.equal(found[3], expected[3])


def test_the_gradient_of_a_row_that_has_no_solution_is_nan_and_no_exception():
    diagonal, couplings, right = system((5,))
    diagonal[0] = -1.0
    diagonal.requires_grad_()
    solve_on_grid(diagonal, couplings, right, [False]).sum().backward()
    assert torch.isnan(diagonal.grad[0]).all()
    assert torch.isfinite(diagonal.grad[1]).all()


def test_single_precision_is_solved_in_double_and_returned_in_single():
    wraps = (False, False)
    diagonal, couplings, right = (t.float() for t in system((6, 7)))
    found = solve_on_grid(diagonal, couplings, right, wraps)
    exact = solve_on_grid(diagonal.double(), couplings.double(), right.double(), wraps)
    assert found.dtype == torch.float32
    assert torch.equal(found, exact.float())


def test_it_is_one_operation_of_a_traced_graph_which_has_a_gradient():
    wraps = (False, True)
    diagonal, couplings, right = system((6, 7))
    graph = make_fx(lambda d, c, b: solve_on_grid(d, c, b, wraps))(diagonal, couplings, right)
    assert len([node for node in graph.graph.nodes if node.op == "call_function"]) == 1
    other, _, _ = system((6, 7), seed=1)
    traced, plain = other.clone().requires_grad_(), other.clone().requires_grad_()
    graph(traced, couplings, right).square().sum().backward()
    solve_on_grid(plain, couplings, right, wraps).square().sum().backward()
    assert torch.equal(traced.grad, plain.grad)


def test_shapes_that_do_not_fit_are_refused():
    diagonal, couplings, right = system((6, 7))
    with pytest.raises(ValueError, match=r"couplings \[B, axes, \*space\]"):
        solve_on_grid(diagonal, couplings[:, :1], right, [False, False])
