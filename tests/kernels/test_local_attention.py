"""Local attention: the plain form in blocks, and the operator."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from asiarch_kernels import paths
from asiarch_kernels.fault import BlockInputError
from asiarch_kernels.local_attention import local_attention, operator, reference
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

# Shapes: B batch, T time, H heads, K key width, V value width.

LENGTHS = (1, 15, 63, 64, 65, 200)


def by_position(q: Tensor, k: Tensor, v: Tensor, window: int, scale: float) -> Tensor:
    """Local attention in float64, one softmax after the other."""
    q, k, v = q.double(), k.double(), v.double()
    rows = []
    for t in range(q.shape[1]):
        near = slice(max(0, t - window + 1), t + 1)
        p_BHS = (scale * torch.einsum("bhk,bshk->bhs", q[:, t], k[:, near])).softmax(-1)
        rows.append(torch.einsum("bhs,bshv->bhv", p_BHS, v[:, near]))
    return torch.stack(rows, dim=1)


def an_input(
    batch: int, length: int, widths: tuple[int, int] = (5, 7), dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(length)
    q, k = torch.randn(2, batch, length, 2, widths[0]).to(dtype)
    v, g = torch.randn(2, batch, length, 2, widths[1]).to(dtype)
    return q, k, v, g


def errors(q: Tensor, k: Tensor, v: Tensor, g: Tensor, window: int) -> list[float]:
    """Of y, dq, dk and dv."""
    wide, narrow = leaves(q.double(), k.double(), v.double()), leaves(q, k, v)
    wanted = by_position(wide[0], wide[1], wide[2], window, 0.7)
    found = local_attention(narrow[0], narrow[1], narrow[2], window, scale=0.7)
    pairs = zip((found, *gradients(found, g, *narrow)), (wanted, *gradients(wanted, g, *wide)), strict=True)
    return [error(f, w) for f, w in pairs]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("window", [1, 8, 16, 64, 300])
def test_blocks_agree_with_a_softmax_for_each_position(length: int, window: int) -> None:
    assert max(errors(*an_input(2, length), window)) < 2e-6


def test_autocast_changes_no_product() -> None:
    q, k, v, _ = an_input(2, 40)
    wanted = local_attention(q, k, v, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert error(local_attention(q, k, v, 8), wanted) < 1e-6


def test_half_precision_stays_within_tolerance() -> None:
    y, dq, dk, dv = errors(*an_input(2, 65, (16, 16), torch.bfloat16), 16)
    assert y < 0.005
    assert max(dq, dk, dv) < 0.008


@pytest.mark.parametrize("window", [1, 3, 4, 20])
def test_the_plain_form_has_the_right_gradients(window: int) -> None:
    q, k, v, _ = an_input(2, 7, (2, 3), torch.float64)
    assert torch.autograd.gradcheck(lambda q, k, v: local_attention(q, k, v, window), leaves(q, k, v))


def test_the_scale_is_that_of_attention_unless_said_otherwise() -> None:
    q, k, v, _ = an_input(1, 9, (4, 4))
    assert torch.equal(local_attention(q, k, v, 3), local_attention(q, k, v, 3, scale=0.5))


def test_a_window_over_all_is_causal_attention() -> None:
    q, k, v, _ = an_input(2, 20, (4, 4))
    whole = functional.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True
    )
    assert torch.allclose(local_attention(q, k, v, 20), whole.transpose(1, 2), atol=1e-6)


def test_large_products_stay_finite() -> None:
    q, k, v, _ = an_input(1, 20)
    assert bool(local_attention(1e4 * q, 1e4 * k, v, 4).isfinite().all())


@pytest.mark.parametrize("edge", [0, 1, 7, 8, 9, 29])
def test_no_position_sees_a_later_one(edge: int) -> None:
    q, k, v, _ = an_input(2, 30)
    assert changed_from(lambda k: local_attention(q, k, v, 8), k, edge) >= edge
    assert changed_from(lambda v: local_attention(q, k, v, 8), v, edge) == edge


def test_no_position_sees_one_outside_of_its_window() -> None:
    q, k, v, _ = an_input(1, 30)
    other = v.clone()
    other[:, 5] += 1
    differs_T = (local_attention(q, k, v, 8) != local_attention(q, k, other, 8)).flatten(2).any(2)[0]
    assert differs_T.nonzero().flatten().tolist() == list(range(5, 13))


def test_no_batch_row_sees_another() -> None:
    q, k, v, _ = an_input(3, 20)
    assert changed_rows(lambda k: local_attention(q, k, v, 4), k, 1) == [1]


def test_nan_stays_in_its_row_and_within_two_blocks() -> None:
    q, k, v, _ = an_input(2, 30)
    v[1, 9, 0] = torch.nan
    bad = local_attention(q, k, v, 4).isnan()
    assert not bad[0].any()
    assert not bad[1, :8].any()
    assert not bad[1, 16:].any()
    assert not bad[1, :, 1].any()


def test_results_are_written_fully_and_memory_around_is_never_read() -> None:
    q, k, v, g = an_input(2, 13)
    wanted = (reference.forward(q, k, v, 4, 1.0)[0], *reference.backward(g, (q, k, v), 4, 1.0))
    q, k, v, g = (in_poison(x) for x in (q, k, v, g))
    with poisoned_memory():
        found = (reference.forward(q, k, v, 4, 1.0)[0], *reference.backward(g, (q, k, v), 4, 1.0))
    assert all(torch.equal(f, w) for f, w in zip(found, wanted, strict=True))


def test_views_are_as_good_as_copies() -> None:
    q, k, v, _ = an_input(2, 13, (4, 4))
    heads_first = q.transpose(1, 2).contiguous().transpose(1, 2)
    shared = k[:, :, :1].expand(k.shape)
    assert torch.equal(
        local_attention(heads_first, shared, v, 4), local_attention(q, shared.contiguous(), v, 4)
    )


def test_the_type_is_that_of_the_values() -> None:
    q, k, v = leaves(torch.randn(1, 5, 1, 2), torch.randn(1, 5, 1, 2), torch.randn(1, 5, 1, 2).bfloat16())
    y = local_attention(q, k, v, 2)
    assert [y.dtype, *(d.dtype for d in gradients(y, y.detach(), q, k, v))] == [
        torch.bfloat16, torch.float32, torch.float32, torch.bfloat16,
    ]  # fmt: skip


@pytest.mark.parametrize("window", [1, 3, 30])
def test_the_operator_keeps_the_rules_of_pytorch(window: int) -> None:
    q, k, v, g = an_input(2, 7)
    torch.library.opcheck(operator.local_attention, (*leaves(q, k, v), window, 0.5))
    torch.library.opcheck(operator.local_attention_backward, (g, q, k, v, window, 0.5))


def test_a_compiled_graph_has_one_node_of_the_same_results() -> None:
    q, k, v, _ = an_input(2, 20)
    assert agrees_when_compiled(lambda q, k, v: local_attention(q.sin(), k, v, 4), q, k, v)


@pytest.mark.parametrize(("length", "window"), [(64, 16), (65, 16), (5, 16)])
def test_the_formulas_count_what_pytorch_counts_in_the_plain_form(length: int, window: int) -> None:
    q, k, v, g = an_input(2, length)
    ours = counted(lambda: operator.local_attention(q, k, v, window, 1.0))
    assert ours == counted(lambda: reference.forward(q, k, v, window, 1.0))
    ours = counted(lambda: operator.local_attention_backward(g, q, k, v, window, 1.0))
    assert ours == counted(lambda: reference.backward(g, (q, k, v), window, 1.0))


def test_the_cost_grows_with_the_length_and_no_faster() -> None:
    def attend(length: int) -> None:
        q, k, v, _ = an_input(1, length)
        operator.local_attention(q, k, v, 16, 1.0)

    assert growth(attend) == 8


def test_a_call_on_a_cpu_is_counted() -> None:
    before = paths.counts().get("local_attention/reference", 0)
    local_attention(*an_input(1, 3)[:3], 2)
    assert paths.counts()["local_attention/reference"] == before + 1


X = torch.zeros(2, 5, 3, 4)


@pytest.mark.parametrize(
    ("q", "k", "v", "window", "message"),
    [
        (X[0], X, X, 2, "q_BTHK is of shape [5, 3, 4]; wanted the shape [B, T, H, K]."),
        (X[:, :0], X, X, 2,
         "q_BTHK is of shape [2, 0, 3, 4]; wanted at least one value along each axis of [B, T, H, K]."),
        (X, X[:, :, :1], X, 2, "k_BTHK is of shape [2, 5, 1, 4]; wanted the shape [2, 5, 3, 4]."),
        (X, X, X[:, :4], 2, "v_BTHV is of shape [2, 4, 3, 4]; wanted the shape [2, 5, 3, V]."),
        (X, X, X, 0, "window is 0; wanted a whole number of at least 1."),
        (X, X, X, 2.0, "window is 2.0; wanted a whole number of at least 1."),
        (X, X.int(), X, 2, "k_BTHK is int32; wanted one of bfloat16, float16, float32, float64."),
        (X, X, X.to("meta"), 2, "v_BTHV is on meta; wanted cpu, where q_BTHK is."),
    ],
)  # fmt: skip
def test_bad_input_is_named(q: Tensor, k: Tensor, v: Tensor, window: int, message: str) -> None:
    with pytest.raises(BlockInputError) as refusal:
        local_attention(q, k, v, window)
    assert str(refusal.value) == f"local_attention: {message}"


def test_a_word_for_a_scale_is_named() -> None:
    scale: Any = "a"
    with pytest.raises(BlockInputError, match="local_attention: scale is 'a'; wanted a number"):
        local_attention(X, X, X, 2, scale=scale)
