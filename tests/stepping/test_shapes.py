"""Shapes, types and orders in memory of results, beside those of the results themselves."""

import itertools
import subprocess
import sys

import pytest
import torch

from hyco.stepping.shapes import without_memory

aten = torch.ops.aten
DTYPES = (torch.float64, torch.float32, torch.int64, torch.bool, torch.complex128)


def given():
    """Tensors that broadcast, of several types and orders in memory."""
    torch.manual_seed(0)
    made = [torch.rand(2, 3, 4), torch.rand(2, 4, 3).transpose(1, 2), torch.rand(3, 1), torch.rand(())]
    made += [torch.rand(4, 3, 2).permute(2, 1, 0), torch.rand(2, 5, 3, 4)[:, 1], torch.rand(2, 1, 1).expand(2, 3, 4)]
    return [(10 * tensor).to(dtype) for tensor in made for dtype in DTYPES]


def compare(func, *args, **keywords):
    """Fails where a result is not foretold; what torch refuses is refused."""
    like = torch.utils._pytree.tree_map(lambda v: v.to("meta") if isinstance(v, torch.Tensor) else v, args)
    try:
        expected = func(*args, **keywords)
    except (RuntimeError, TypeError, IndexError, ValueError):
        with pytest.raises((RuntimeError, TypeError, IndexError, ValueError)):
            without_memory(func, like, keywords)
        return 0
    found = without_memory(func, like, keywords)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), (func, args)
    long = [axis for axis, size in enumerate(found.shape) if size > 1]  # of the others the stride says nothing
    assert [found.stride(i) for i in long] == [expected.stride(i) for i in long], (func, [v.stride() for v in args])
    assert found.device.type == "meta"
    return 1


@pytest.mark.parametrize("func", [aten.exp.default, aten.abs.default, aten.neg.default, aten.sign.default])
def test_functions_of_one_tensor(func):
    assert sum(compare(func, tensor) for tensor in given()) > 20


@pytest.mark.parametrize(
    "func", [aten.mul.Tensor, aten.add.Tensor, aten.div.Tensor, aten.gt.Tensor, aten.maximum.default]
)
def test_functions_of_two_tensors(func):
    tensors = given()
    pairs = list(itertools.product(tensors[::3], tensors))
    assert sum(compare(func, a, b) for a, b in pairs) > 0.5 * len(pairs)


def test_numbers_three_tensors_joined_and_rolled_ones():
    tensors = given()
    for tensor in tensors:
        compare(aten.mul.Tensor, tensor, 2.5)
        compare(aten.pow.Tensor_Scalar, tensor, 2)
        compare(aten.roll.default, tensor, [1], [0])
        compare(aten.flip.default, tensor, [0])
        compare(aten._fft_r2c.default, tensor, [0], 0, True)
        compare(aten._fft_c2c.default, tensor, [0, 1], 0, True)
        compare(aten._fft_c2r.default, tensor, [0], 2, 4)
    for a, b in itertools.product(tensors[:15], tensors[5:20]):
        compare(aten.where.self, a.real > b.real, a, b)
        compare(aten.cat.default, [a, b], a.ndim - 1)
        compare(aten.stack.default, [a, b], a.ndim)
    assert compare(aten.add.Tensor, tensors[0], tensors[5], alpha=0.5)
    assert compare(aten.clone.default, tensors[5], memory_format=torch.contiguous_format)
    last = torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    assert compare(aten.cat.default, [last, last], 2)
    assert compare(aten.cat.default, [torch.empty(0), tensors[0]], 1)


def test_a_column_and_a_row_do_not_become_a_matrix_in_memory(monkeypatch):
    column, row = (torch.empty(shape, device="meta") for shape in ((2**17, 1), (1, 2**17)))
    monkeypatch.setattr(torch, "empty_strided", None)  # what is computed is made with it, and would take 64 GB
    assert without_memory(aten.mul.Tensor, (column, row), {}).shape == (2**17, 2**17)
    assert without_memory(aten.mm.default, (column, row), {}).shape == (2**17, 2**17)


@pytest.mark.slow
def test_neither_torchs_compiler_nor_sympy_is_imported_for_it():
    code = (
        "import sys, torch; from hyco.stepping.shapes import without_memory as w; a = torch.ops.aten;"
        "x = torch.empty(2, 3, device='meta'); w(a.mul.Tensor, (x, x[:1]), {}); w(a.cat.default, ([x, x],), {});"
        "w(a.roll.default, (x, [1], [0]), {}); w(a._fft_r2c.default, (x, [0], 0, True), {});"
        "w(a.stack.default, ([x, x],), {});"
        "assert not {'torch._dynamo', 'sympy'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
