"""The causal convolution: plain form, kernels in Triton's interpreter, and the operator."""

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from asiarch_kernels import paths
from asiarch_kernels.causal_conv import causal_conv, kernel, operator, reference
from asiarch_kernels.fault import BlockInputError
from tests.kernels.checks import (
    agrees_when_compiled,
    changed_from,
    changed_rows,
    counted,
    error,
    gradients,
    growth,
    in_poison,
    leaves,
    poisoned_memory,
)

# Shapes: B batch, T time, D channels, J taps.

LENGTHS = (1, 15, 63, 64, 65, 200)


def by_position(x_BTD: Tensor, w_DJ: Tensor, *, silu: bool, starts: list[int] | None = None) -> Tensor:
    """The convolution in float64, one sum after the other."""
    length, taps = x_BTD.shape[1], w_DJ.shape[1]
    x, w = x_BTD.double(), w_DJ.double()
    rows = []
    for t in range(length):
        begin = max(s for s in starts or [0] if s <= t)
        y_BD = torch.zeros_like(x[:, 0])
        for back in range(min(taps, t - begin + 1)):
            y_BD = y_BD + w[:, taps - 1 - back] * x[:, t - back]
        rows.append(y_BD * torch.sigmoid(y_BD) if silu else y_BD)
    return torch.stack(rows, dim=1)


def an_input(
    batch: int, length: int, width: int, taps: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(length * taps)
    x, g = torch.randn(2, batch, length, width).to(dtype)
    return x, torch.randn(width, taps) * taps**-0.5, g


def errors_of_kernels(
    x: Tensor, w: Tensor, g: Tensor, *, silu: bool, starts: list[int] | None = None
) -> list[float]:
    """Of y, dx and dw, computed in poisoned memory."""
    inputs = leaves(x.double(), w.double())
    wanted_y = by_position(*inputs, silu=silu, starts=starts)
    wanted = (wanted_y, *gradients(wanted_y, g, *inputs))
    since_T = (
        None if starts is None else reference.positions(torch.tensor(starts, dtype=torch.int32), x.shape[1])
    )
    x, w, g = in_poison(x), in_poison(w), in_poison(g)
    with poisoned_memory():
        found = (
            kernel.forward(x, w, silu=silu, since_T=since_T),
            *kernel.backward(g, x, w, silu=silu, since_T=since_T),
        )
    return [error(f, w) for f, w in zip(found, wanted, strict=True)]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("silu", [False, True])
def test_the_kernels_agree_with_a_sum_over_positions(length: int, silu: bool) -> None:  # noqa: FBT001
    assert max(errors_of_kernels(*an_input(2, length, 5, 4), silu=silu)) < 1e-6


@pytest.mark.parametrize(("width", "taps"), [(1, 1), (16, 2), (33, 7), (80, 3), (3, 64)])
def test_the_kernels_take_any_width_and_up_to_64_taps(width: int, taps: int) -> None:
    assert max(errors_of_kernels(*an_input(1, 37, width, taps), silu=True)) < 1e-6


@pytest.mark.parametrize("silu", [False, True])
def test_the_kernels_keep_sequences_apart(silu: bool) -> None:  # noqa: FBT001
    x, w, g = an_input(1, 65, 5, 7)
    assert max(errors_of_kernels(x, w, g, silu=silu, starts=[0, 1, 1, 20, 52, 65])) < 1e-6


def test_the_kernels_keep_half_precision_within_tolerance() -> None:
    y, dx, dw = errors_of_kernels(*an_input(2, 65, 16, 4, torch.bfloat16), silu=True)
    assert y < 0.005
    assert dx < 0.008
    assert dw < 0.008


def test_the_kernels_sum_more_tiles_than_there_are_programs() -> None:
    assert max(errors_of_kernels(*an_input(70, 3, 2, 2), silu=False)) < 1e-6


def test_the_kernels_give_the_same_bits_twice() -> None:
    x, w, g = an_input(2, 65, 5, 4)
    first, second = (
        (kernel.forward(x, w, silu=True, since_T=None), *kernel.backward(g, x, w, silu=True, since_T=None))
        for _ in range(2)
    )
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_the_kernels_spread_nan_to_later_positions_of_its_channel_alone() -> None:
    x, w, _ = an_input(2, 40, 3, 4)
    x[1, 10, 2] = torch.nan
    y = kernel.forward(x, w, silu=False, since_T=None)
    assert y.isnan().nonzero().tolist() == [[1, t, 2] for t in (10, 11, 12, 13)]


def test_strange_starts_lead_nowhere_outside() -> None:
    starts = torch.tensor([-7, 900, 3, -2], dtype=torch.int32)
    since_T = reference.positions(starts, 40)
    assert bool((since_T >= 0).all())
    assert bool((since_T <= torch.arange(40)).all())


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("taps", [1, 4, 31, 64])
def test_the_plain_form_agrees_with_a_sum_over_positions(length: int, taps: int) -> None:
    x, w, g = an_input(2, length, 5, taps)
    wide, narrow = leaves(x.double(), w.double()), leaves(x, w)
    wanted, found = by_position(*wide, silu=True), causal_conv(*narrow, silu=True)
    pairs = zip((found, *gradients(found, g, *narrow)), (wanted, *gradients(wanted, g, *wide)), strict=True)
    assert max(error(f, w) for f, w in pairs) < 1e-6


@pytest.mark.parametrize("silu", [False, True])
@pytest.mark.parametrize("starts", [None, [0, 0, 4, 9]])
def test_the_plain_form_has_the_right_gradients(silu: bool, starts: list[int] | None) -> None:  # noqa: FBT001
    given = None if starts is None else torch.tensor(starts, dtype=torch.int32)
    x, w = leaves(torch.randn(1, 9, 3).double(), torch.randn(3, 5).double())
    assert torch.autograd.gradcheck(lambda x, w: causal_conv(x, w, silu=silu, starts=given), (x, w))


def test_sequences_laid_behind_each_other_are_as_if_alone() -> None:
    x, w, _ = an_input(1, 30, 4, 6)
    x[0, 10] = torch.nan
    starts = torch.tensor([0, 11, 18, 30], dtype=torch.int32)
    alone = torch.cat([causal_conv(part, w) for part in (x[:, :11], x[:, 11:18], x[:, 18:])], dim=1)
    assert torch.allclose(causal_conv(x, w, starts=starts), alone, equal_nan=True)


@pytest.mark.parametrize("edge", [0, 1, 20, 32, 49])
def test_no_position_sees_a_later_one(edge: int) -> None:
    x, w, _ = an_input(2, 50, 3, 9)
    assert changed_from(lambda x: causal_conv(x, w, silu=True), x, edge) == edge
    assert changed_from(lambda x: kernel.forward(x, w, silu=True, since_T=None), x, edge) == edge


def test_no_batch_row_sees_another() -> None:
    x, w, _ = an_input(3, 20, 3, 4)
    assert changed_rows(lambda x: causal_conv(x, w), x, 1) == [1]
    assert changed_rows(lambda x: kernel.forward(x, w, silu=False, since_T=None), x, 1) == [1]


def test_views_are_as_good_as_copies() -> None:
    x, w, _ = an_input(2, 12, 6, 4)
    across, every_other = x.mT.contiguous().mT, torch.stack([w, w], dim=-1)[..., 0]
    assert torch.equal(causal_conv(across, every_other), causal_conv(x, w))
    of_views = kernel.forward(across, every_other, silu=False, since_T=None)
    assert torch.equal(of_views, kernel.forward(x, w, silu=False, since_T=None))


def test_taps_of_float32_filter_half_precision() -> None:
    x, w = leaves(torch.randn(2, 12, 6).bfloat16(), torch.randn(6, 4))
    y = causal_conv(x, w)
    dx, dw = gradients(y, torch.ones_like(y), x, w)
    assert (y.dtype, dx.dtype, dw.dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)


@pytest.mark.parametrize(("silu", "varlen"), itertools.product([False, True], [False, True]))
def test_the_operator_keeps_the_rules_of_pytorch(silu: bool, varlen: bool) -> None:  # noqa: FBT001
    x, w = leaves(torch.randn(1, 9, 3), torch.randn(3, 4))
    starts = torch.tensor([0, 4, 9], dtype=torch.int32) if varlen else None
    torch.library.opcheck(operator.causal_conv, (x, w, silu, starts))
    torch.library.opcheck(
        operator.causal_conv_backward, (torch.randn(1, 9, 3), x.detach(), w.detach(), silu, starts)
    )


def test_a_compiled_graph_has_one_node_of_the_same_results() -> None:
    x, w, _ = an_input(2, 33, 4, 5)
    assert agrees_when_compiled(lambda x, w: causal_conv(x.sin(), w, silu=True), x, w)


def test_the_formula_counts_what_pytorch_counts_for_its_own_convolution() -> None:
    x, w = leaves(torch.randn(2, 96, 6), torch.randn(6, 4))
    padded = functional.pad(x.mT, (3, 0)).detach()
    theirs = counted(lambda: functional.conv1d(padded, w[:, None], groups=6))
    assert counted(lambda: operator.causal_conv(x, w, silu=False, starts=None)) == theirs
    y = operator.causal_conv(x, w, silu=False, starts=None)
    assert counted(lambda: y.sum().backward()) == 2 * theirs


def test_the_cost_grows_with_the_length_and_no_faster() -> None:
    w = torch.randn(4, 9)
    assert (
        growth(lambda length: operator.causal_conv(torch.randn(1, length, 4), w, silu=False, starts=None))
        == 8
    )


def test_a_call_on_a_cpu_is_counted() -> None:
    before = paths.counts().get("causal_conv/reference", 0)
    causal_conv(torch.randn(1, 2, 3), torch.randn(3, 2))
    assert paths.counts()["causal_conv/reference"] == before + 1


X, W = torch.zeros(2, 5, 3), torch.zeros(3, 4)
STARTS = torch.tensor([0, 5], dtype=torch.int32)


@pytest.mark.parametrize(
    ("x", "w", "starts", "message"),
    [
        (X[0], W, None, "x_BTD is of shape [5, 3]; wanted the shape [B, T, D]."),
        (X[:, :0], W, None, "x_BTD is of shape [2, 0, 3]; wanted at least one value along each axis of [B, T, D]."),
        (X, W[:2], None, "w_DJ is of shape [2, 4]; wanted the shape [3, J]."),
        (X, W[:, :0], None, "w_DJ is of shape [3, 0]; wanted at least one value along each axis of [3, J]."),
        (X, torch.zeros(3, 65), None, "w_DJ is of 65 taps; wanted at most 64."),
        (X.int(), W, None, "x_BTD is int32; wanted one of bfloat16, float16, float32, float64."),
        (X, W.to("meta"), None, "w_DJ is on meta; wanted cpu, where x_BTD is."),
        (X, [1.0], None, "w_DJ is a list; wanted a tensor."),
        (X, W, STARTS, "x_BTD is a batch of 2; wanted a batch of 1, since starts is given."),
        (X[:1], W, STARTS.long(), "starts is int64; wanted int32."),
        (X[:1], W, STARTS[1:], "starts is [5]; wanted positions from 0 to 5 that never fall."),
        (X[:1], W, STARTS - 1, "starts is [-1, 4]; wanted positions from 0 to 5 that never fall."),
    ],
)  # fmt: skip
def test_bad_input_is_named(x: Tensor, w: Tensor, starts: Tensor | None, message: str) -> None:
    with pytest.raises(BlockInputError) as refusal:
        causal_conv(x, w, starts=starts)
    assert str(refusal.value) == f"causal_conv: {message}"
