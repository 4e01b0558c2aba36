"""What the data determine, in numbers and in words."""

import torch

from hyco.inversion.identifiability import describe, identifiability

ONE = torch.ones(2, dtype=torch.float64)


def jacobian(*columns):
    return torch.stack([torch.as_tensor(c, dtype=torch.float64) for c in columns], dim=1)


def test_two_parameters_that_enter_as_a_sum_are_told_as_their_difference():
    column = 100 * torch.ones(10)
    found = identifiability(jacobian(column, column), ONE, ("a", "b"))
    assert found.weak.tolist() == [False, True]
    assert found.words() == ["0.71 a - 0.71 b"]
    assert found.determined.tolist() == [False, False]


def test_a_well_measured_parameter_is_determined_and_an_unseen_one_is_not():
    found = identifiability(jacobian(100 * torch.ones(10), torch.zeros(10)), ONE, ("a", "b"))
    assert found.determined.tolist() == [True, False]
    assert found.words() == ["1 b"]


def test_the_threshold_is_an_interval_as_wide_as_what_was_known():
    for spread, determined in ((0.25, True), (0.26, False)):
        found = identifiability(jacobian([1 / spread]), ONE[:1], ("a",))
        assert found.determined.tolist() == [determined]
    assert identifiability(jacobian([1 / 0.26]), 2 * ONE[:1], ("a",)).determined.tolist() == [True]


def test_fewer_measurements_than_unknowns_leave_directions_open():
    found = identifiability(jacobian([100.0], [0.0], [0.0]), torch.ones(3).double(), ("a", "b", "c"))
    assert found.weak.tolist() == [False, True, True]


def test_the_error_of_a_difference_quotient_is_no_information_however_small_the_noise():
    column = 1e12 * torch.ones(10, dtype=torch.float64)
    column_with_error = column * (1 + 1e-9 * torch.arange(10))
    found = identifiability(jacobian(column, column_with_error), ONE, ("a", "b"))
    assert found.weak.tolist() == [False, True]
    assert found.determined.tolist() == [False, False]


def test_a_jacobian_that_is_not_finite_determines_nothing():
    assert identifiability(jacobian([torch.nan]), ONE[:1], ("a",)).weak.tolist() == [True]


def test_a_direction_of_many_parts_is_cut_short():
    direction = torch.ones(9, dtype=torch.float64) / 3
    assert describe(direction, [f"c{i}" for i in range(9)]).endswith("and others")
