"""Forward differentiation, by two threads at once."""

from concurrent.futures import ThreadPoolExecutor

import torch

from hyco.runtime.forward import jacobian, tangent


def test_threads_do_not_end_each_others_differentiation():
    point, direction = torch.tensor([0.3, -1.2]), torch.tensor([2.0, 0.5])

    def both(_):
        return jacobian(lambda x: x.sin(), point), tangent(lambda x: x.square(), point, direction)

    with ThreadPoolExecutor(4) as pool:
        for matrix, slope in pool.map(both, range(200)):
            assert torch.equal(matrix, point.cos().diag())
            assert torch.equal(slope, 2 * point * direction)
