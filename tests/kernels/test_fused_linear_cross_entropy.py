"""The linear head with its cross-entropy: the plain form in chunks, and the operator."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from asiarch_kernels import paths
from asiarch_kernels.fault import BlockInputError
from asiarch_kernels.fused_linear_cross_entropy import fused_linear_cross_entropy, operator, reference
from tests.kernels.checks import (
    agrees_when_compiled,
    counted,
    error,
    gradients,
    growth,
    leaves,
    poisoned_memory,
)

# Shapes: N rows, V classes, D width.


def by_row(x_ND: Tensor, weight_VD: Tensor, target_N: Tensor) -> Tensor:
    """The mean loss in float64, one row after the other."""
    losses = []
    for x_D, target in zip(x_ND.double(), target_N.tolist(), strict=True):
        if target != -100:
            z_V = (weight_VD.double() * x_D).sum(-1)
            losses.append(torch.log((z_V - z_V.max()).exp().sum()) + z_V.max() - z_V[target])
    return torch.stack(losses).mean()


def an_input(rows: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, a head of 23 classes, and targets of which about a third don't count."""
    torch.manual_seed(rows)
    target = torch.randint(0, 23, (rows,))
    target[1::3] = -100
    return torch.randn(rows, 6).to(dtype), torch.randn(23, 6).to(dtype), target


@pytest.mark.parametrize("rows", [1, 15, 63, 64, 65, 200])
@pytest.mark.parametrize("chunk", [1, 16, 2048])
def test_chunks_agree_with_a_loss_for_each_row(rows: int, chunk: int) -> None:
    x, weight, target = an_input(rows)
    wide, narrow = leaves(x.double(), weight.double()), leaves(x, weight)
    wanted, found = (
        by_row(wide[0], wide[1], target),
        fused_linear_cross_entropy(narrow[0], narrow[1], target, chunk=chunk),
    )
    g = torch.tensor(-1.7)
    pairs = zip((found, *gradients(found, g, *narrow)), (wanted, *gradients(wanted, g, *wide)), strict=True)
    assert max(error(f, w) for f, w in pairs) < 1e-6


def test_autocast_changes_nothing() -> None:
    x, weight, target = an_input(65)
    plain, cast = leaves(x, weight), leaves(x, weight)
    wanted = fused_linear_cross_entropy(plain[0], plain[1], target)
    with torch.autocast("cpu", torch.bfloat16):
        found = fused_linear_cross_entropy(cast[0], cast[1], target)
        gradient = gradients(found, torch.tensor(1.0), *cast)
    assert found.dtype == torch.float32
    assert error(found, wanted) < 1e-6
    right = gradients(wanted, torch.tensor(1.0), *plain)
    assert max(error(f, w) for f, w in zip(gradient, right, strict=True)) < 1e-6


def test_half_precision_stays_within_tolerance() -> None:
    x, weight, target = an_input(65, torch.bfloat16)
    wide, narrow = leaves(x.double(), weight.double()), leaves(x, weight)
    wanted, found = (
        by_row(wide[0], wide[1], target),
        fused_linear_cross_entropy(narrow[0], narrow[1], target, chunk=16),
    )
    assert found.dtype == torch.float32
    assert error(found, wanted) < 1e-6
    ones = torch.ones(())
    pairs = zip(gradients(found, ones, *narrow), gradients(wanted, ones, *wide), strict=True)
    assert max(error(f, w) for f, w in pairs) < 0.008


def test_a_head_of_float32_is_given_gradients_of_float32() -> None:
    x, weight = leaves(torch.randn(9, 4).bfloat16(), torch.randn(7, 4))
    loss = fused_linear_cross_entropy(x, weight, torch.arange(9) % 7)
    dx, dweight = gradients(loss, torch.ones(()), x, weight)
    assert (loss.dtype, dx.dtype, dweight.dtype) == (torch.float32, torch.bfloat16, torch.float32)


@pytest.mark.parametrize("chunk", [2, 100])
def test_the_plain_form_has_the_right_gradients(chunk: int) -> None:
    x, weight, target = an_input(7, torch.float64)
    assert torch.autograd.gradcheck(
        lambda x, weight: fused_linear_cross_entropy(x, weight, target, chunk=chunk), leaves(x, weight)
    )


def test_the_loss_is_the_same_where_nobody_asks_for_gradients() -> None:
    x, weight, target = an_input(40)
    (recorded,) = leaves(x)
    asked = fused_linear_cross_entropy(recorded, weight, target, chunk=16)
    assert torch.equal(fused_linear_cross_entropy(x, weight, target, chunk=16), asked.detach())


def test_without_a_row_that_counts_all_is_as_in_pytorch() -> None:
    x, weight, _ = an_input(5)
    target = torch.full((5,), -100)
    ours, theirs = leaves(x, weight), leaves(x, weight)
    loss = fused_linear_cross_entropy(ours[0], ours[1], target)
    assert bool(loss.isnan())
    wanted = gradients(functional.cross_entropy(theirs[0] @ theirs[1].T, target), torch.ones(()), *theirs)
    found = gradients(loss, torch.ones(()), *ours)
    assert all(torch.equal(f, w) for f, w in zip(found, wanted, strict=True))


def test_a_row_that_does_not_count_may_hold_nan() -> None:
    x, weight, target = an_input(10)
    x[1] = torch.nan
    ours = leaves(x, weight)
    loss = fused_linear_cross_entropy(ours[0], ours[1], target, ignore_index=-100)
    dx, _ = gradients(loss, torch.ones(()), *ours)
    assert bool(loss.isfinite())
    assert bool(dx.isfinite().all())


def test_large_logits_stay_finite() -> None:
    x, weight, target = an_input(10)
    assert bool(fused_linear_cross_entropy(1e4 * x, 1e4 * weight, target).isfinite())


def test_a_row_has_no_say_in_the_gradient_of_another() -> None:
    x, weight, target = an_input(10)
    other = x.clone()
    other[4] = 0
    (dx,), (dother,) = (
        gradients(fused_linear_cross_entropy(row, weight, target, chunk=3), torch.ones(()), row)
        for row in (*leaves(x), *leaves(other))
    )
    assert (dx != dother).any(1).nonzero().flatten().tolist() == ([4] if target[4] != -100 else [])


def test_results_are_written_fully_and_alike_each_time() -> None:
    x, weight, target = an_input(40)
    wanted = reference.loss_and_gradients(x, weight, target, 16, -100)
    with poisoned_memory():
        found = reference.loss_and_gradients(x, weight, target, 16, -100)
    assert all(torch.equal(f, w) for f, w in zip(found, wanted, strict=True))


def test_the_logits_of_all_rows_never_exist_at_once() -> None:
    x, weight, target = torch.randn(512, 4), torch.randn(100, 4), torch.zeros(512, dtype=torch.int64)
    sizes = []

    def look(*_: object, out_shape: tuple[int, int]) -> int:
        sizes.append(math.prod(out_shape))
        return 0

    counted(lambda: reference.loss_and_gradients(x, weight, target, 32, -100), {torch.ops.aten.mm: look})
    assert max(sizes) == 32 * 100


def test_views_are_as_good_as_copies() -> None:
    x, weight, target = an_input(12)
    assert torch.equal(
        fused_linear_cross_entropy(x.T.contiguous().T, weight.T.contiguous().T, target),
        fused_linear_cross_entropy(x, weight, target),
    )


@pytest.mark.parametrize("wanted", [False, True])
def test_the_operator_keeps_the_rules_of_pytorch(wanted: bool) -> None:  # noqa: FBT001
    x, weight, target = an_input(9)
    inputs = leaves(x, weight) if wanted else (x, weight)
    torch.library.opcheck(operator.fused_linear_cross_entropy, (*inputs, target, 4, -100, wanted))


def test_a_compiled_graph_has_one_node_of_the_same_results() -> None:
    x, weight, target = an_input(12)
    assert agrees_when_compiled(
        lambda x, w: fused_linear_cross_entropy(x.sin(), w, target, chunk=5), x, weight
    )


@pytest.mark.parametrize("wanted", [False, True])
def test_the_formula_counts_what_pytorch_counts_in_the_plain_form(wanted: bool) -> None:  # noqa: FBT001
    x, weight, target = an_input(33)
    plain = reference.loss_and_gradients if wanted else reference.loss_alone
    ours = counted(lambda: operator.fused_linear_cross_entropy(x, weight, target, 8, -100, wanted))
    assert ours == counted(lambda: plain(x, weight, target, 8, -100))


def test_the_cost_grows_with_the_rows_and_no_faster() -> None:
    assert (
        growth(lambda rows: operator.fused_linear_cross_entropy(*an_input(rows), 64, -100, gradients=True))
        == 8
    )


def test_a_call_on_a_cpu_is_counted() -> None:
    before = paths.counts().get("fused_linear_cross_entropy/reference", 0)
    fused_linear_cross_entropy(*an_input(3))
    assert paths.counts()["fused_linear_cross_entropy/reference"] == before + 1


X, W, TARGET = torch.zeros(5, 3), torch.zeros(7, 3), torch.zeros(5, dtype=torch.int64)


@pytest.mark.parametrize(
    ("x", "weight", "target", "chunk", "message"),
    [
        (X[0], W, TARGET, 2, "x_ND is of shape [3]; wanted the shape [N, D]."),
        (X[:0], W, TARGET, 2, "x_ND is of shape [0, 3]; wanted at least one value along each axis of [N, D]."),
        (X, W[:, :2], TARGET, 2, "weight_VD is of shape [7, 2]; wanted the shape [V, 3]."),
        (X, W, TARGET[:4], 2, "target_N is of shape [4]; wanted the shape [5]."),
        (X, W, TARGET.int(), 2, "target_N is int32; wanted one of int64."),
        (X, W, TARGET + 7, 2, "target_N is 7 in a row; wanted classes from 0 to 6, or -100."),
        (X, W, TARGET - 1, 2, "target_N is -1 in a row; wanted classes from 0 to 6, or -100."),
        (X, W, TARGET, 0, "chunk is 0; wanted a whole number of at least 1."),
        (X, W.int(), TARGET, 2, "weight_VD is int32; wanted one of bfloat16, float16, float32, float64."),
        (X, W.to("meta"), TARGET, 2, "weight_VD is on meta; wanted cpu, where x_ND is."),
        (X, W, TARGET.to("meta"), 2, "target_N is on meta; wanted cpu, where x_ND is."),
    ],
)  # fmt: skip
def test_bad_input_is_named(x: Tensor, weight: Tensor, target: Tensor, chunk: int, message: str) -> None:
    with pytest.raises(BlockInputError) as refusal:
        fused_linear_cross_entropy(x, weight, target, chunk=chunk)
    assert str(refusal.value) == f"fused_linear_cross_entropy: {message}"


def test_nothing_for_the_class_to_ignore_is_named() -> None:
    nothing: Any = None
    with pytest.raises(BlockInputError, match="ignore_index is None; wanted a whole number"):
        fused_linear_cross_entropy(X, W, TARGET, ignore_index=nothing)
