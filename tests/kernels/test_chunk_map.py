"""Any code on all chunks of time at once."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from asiarch_kernels.chunk_map import chunk_map
from asiarch_kernels.fault import BlockInputError
from asiarch_kernels.scan import scan
from tests.kernels.checks import agrees_when_compiled, changed_from, changed_rows, growth, leaves

# Shapes: B batch, T time, D channels; R rows, one for each chunk of each batch row, C positions of a chunk.


def running_sum(x_RCD: Tensor) -> Tensor:
    return x_RCD.cumsum(1)


def by_chunk(fn: Callable[[Tensor], Tensor], x_BTD: Tensor, chunk: int) -> Tensor:
    """The same, one chunk of one batch row after the other."""
    rows = [torch.cat([fn(part) for part in x_TD[None].split(chunk, dim=1)], dim=1) for x_TD in x_BTD]
    return torch.cat(rows)


@pytest.mark.parametrize("length", [1, 15, 63, 64, 65, 200])
@pytest.mark.parametrize("chunk", [1, 7, 64, 300])
def test_all_chunks_at_once_are_as_one_after_the_other(length: int, chunk: int) -> None:
    x = torch.randn(3, length, 5)
    assert torch.allclose(chunk_map(running_sum, x, chunk), by_chunk(running_sum, x, chunk), atol=1e-5)


def test_code_sees_whole_chunks_whatever_the_length() -> None:
    seen = []

    def look(x: Tensor) -> Tensor:
        seen.append((tuple(x.shape), x[-1, :, 0].tolist()))
        return x

    assert torch.equal(chunk_map(look, torch.ones(2, 6, 3), 4), torch.ones(2, 6, 3))
    assert seen == [((4, 4, 3), [1, 1, 0, 0])]


def test_several_tensors_go_in_and_come_out() -> None:
    x, y, flags = torch.randn(2, 9, 3), torch.randn(2, 9), torch.randn(2, 9, 2, 4) > 0
    total, kept = chunk_map(lambda x, y, flags: (x.sum(-1) + y, ~flags), (x, y, flags), 4)
    assert torch.allclose(total, x.sum(-1) + y)
    assert torch.equal(kept, ~flags)


def test_one_tensor_in_a_tuple_comes_out_as_the_code_returns_it() -> None:
    x = torch.randn(2, 5, 3)
    (y,) = chunk_map(lambda x: (x,), (x,), 4)
    assert torch.equal(y, x)
    assert torch.equal(chunk_map(lambda x: x, (x,), 4), x)


def test_gradients_are_those_of_the_code_and_of_any_order() -> None:
    (x,) = leaves(torch.randn(2, 5, 3).double())
    assert torch.autograd.gradcheck(lambda x: chunk_map(lambda c: c.tanh().cumsum(1), x, 4), (x,))
    assert torch.autograd.gradgradcheck(lambda x: chunk_map(lambda c: c.tanh().cumsum(1), x, 4), (x,))


def test_a_scan_carries_from_chunk_to_chunk() -> None:
    x, chunk = torch.randn(2, 24, 3), 8
    sums_BND = chunk_map(running_sum, x, chunk)[:, chunk - 1 :: chunk]
    carried_BND = scan(torch.ones_like(sums_BND), sums_BND) - sums_BND
    before_BTD = carried_BND.repeat_interleave(chunk, dim=1)
    whole = chunk_map(lambda c, before: c.cumsum(1) + before, (x, before_BTD), chunk)
    assert torch.allclose(whole, x.cumsum(1), atol=1e-5)


@pytest.mark.parametrize("edge", [0, 1, 7, 8, 9, 19])
def test_code_that_is_causal_within_a_chunk_is_causal(edge: int) -> None:
    assert changed_from(lambda x: chunk_map(running_sum, x, 8), torch.randn(2, 20, 3), edge) == edge


def test_no_batch_row_sees_another() -> None:
    assert changed_rows(lambda x: chunk_map(running_sum, x, 8), torch.randn(3, 20, 3), 1) == [1]


def test_nan_stays_in_its_chunk() -> None:
    x = torch.zeros(2, 20, 1)
    x[1, 9] = torch.nan
    assert chunk_map(running_sum, x, 8).isnan().nonzero()[:, :2].tolist() == [[1, t] for t in range(9, 16)]


def test_a_compiled_graph_is_whole_and_has_the_same_results() -> None:
    def attend(x: Tensor, y: Tensor) -> Tensor:
        z: Tensor = chunk_map(lambda c, d: (c @ d.mT).tril() @ d, (x, y), 8)
        return z

    assert agrees_when_compiled(attend, torch.randn(2, 20, 3), torch.randn(2, 20, 3))


def test_the_cost_grows_with_the_length_and_no_faster() -> None:
    def attend(length: int) -> Tensor:
        x = torch.randn(1, length, 4)
        return chunk_map(lambda c: (c @ c.mT).tril() @ c, x, 16)

    assert growth(attend) == 8


X = torch.zeros(2, 6, 3)


@pytest.mark.parametrize(
    ("fn", "xs", "chunk", "message"),
    [
        (running_sum, X, 0, "chunk is 0; wanted a whole number of at least 1."),
        (running_sum, X, True, "chunk is True; wanted a whole number of at least 1."),
        ("sum", X, 4, "fn is a str; wanted something to call."),
        (running_sum, (), 4, "xs is an empty tuple; wanted at least one tensor."),
        (running_sum, [X], 4, "xs is a list; wanted a tensor."),
        (running_sum, X[0, 0], 4, "xs is of shape [3]; wanted the shape [B, T, …]."),
        (running_sum, X[:, :0], 4, "xs is of shape [2, 0, 3]; wanted at least one value along each axis of [B, T, 3]."),
        (running_sum, (X, X[:, :5]), 4, "xs[1] is of shape [2, 5, 3]; wanted the shape [2, 6, 3]."),
        (lambda x: x.sum(1), X, 4, "fn's result is of shape [4, 3]; wanted the shape [4, 4, …]."),
        (lambda x: (x, 1), X, 4, "fn's result 1 is a int; wanted a tensor."),
    ],
)  # fmt: skip
def test_bad_input_is_named(fn: Callable[[Tensor], Tensor], xs: Tensor, chunk: int, message: str) -> None:
    with pytest.raises(BlockInputError) as refusal:
        chunk_map(fn, xs, chunk)
    assert str(refusal.value) == f"chunk_map: {message}"
