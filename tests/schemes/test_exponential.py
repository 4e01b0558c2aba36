"""The functions φ of exponential time differencing against their series in exact fractions."""

import math
from fractions import Fraction

import pytest
import torch
from phi.math import precision, spatial, wrap

from hyco.schemes.exponential import phi


def exact(z, k):
    """φ_k(z) = Σ z^j/(j + k)!, in exact arithmetic, and its slope."""
    z, terms = Fraction(z), range(1, 30 + int(4 * abs(z)))
    value = sum((z**j / math.factorial(j + k) for j in terms), Fraction(1, math.factorial(k)))
    return float(value), float(sum(j * z ** (j - 1) / math.factorial(j + k) for j in terms))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_functions_and_their_slopes_lose_no_digits_near_zero_nor_far_from_it(count):
    numbers = [
        0.0,
        *(sign * 10.0**k for sign in (1, -1) for k in (-12, -8, -5, -4.001, -3.999, -3, -2.701, -2.697, -1, 0, 1)),
        -60.0,
    ]
    z = torch.tensor(numbers, dtype=torch.float64, requires_grad=True)
    with precision(64):
        functions = [found.native("x") for found in phi(wrap(z, spatial("x")), count)]
    for k, values in enumerate(functions, start=1):
        (slopes,) = torch.autograd.grad(values.sum(), z, retain_graph=True)
        expected = torch.tensor([exact(number, k) for number in numbers], dtype=torch.float64)
        torch.testing.assert_close(values, expected[:, 0], rtol=2e-14, atol=0)
        torch.testing.assert_close(slopes, expected[:, 1], rtol=1e-11, atol=0)


def test_far_below_zero_nothing_overflows():
    with precision(64):
        (found,) = phi(wrap(torch.tensor([-1e3, -1e6], dtype=torch.float64), spatial("x")), 1)
        values = found.native("x")
    torch.testing.assert_close(values, torch.tensor([1e-3, 1e-6], dtype=torch.float64), rtol=1e-15, atol=0)
