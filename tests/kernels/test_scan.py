"""The gated scan: plain form, kernels in Triton's interpreter, and the operator."""

import pytest
import torch
from torch import Tensor

from asiarch_kernels import paths
from asiarch_kernels.fault import BlockInputError
from asiarch_kernels.scan import kernel, operator, scan
from tests.kernels.checks import (
    ELEMENTWISE,
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

# Shapes: B batch, T time, D channels.

LENGTHS = (1, 15, 63, 64, 65, 200)


def by_position(a_BTD: Tensor, b_BTD: Tensor, state_BD: Tensor | None = None) -> Tensor:
    """The scan in float64, one position after the other."""
    h_BD = torch.zeros_like(b_BTD[:, 0], dtype=torch.float64) if state_BD is None else state_BD.double()
    rows = []
    for t in range(a_BTD.shape[1]):
        h_BD = a_BTD[:, t].double() * h_BD + b_BTD[:, t].double()
        rows.append(h_BD)
    return torch.stack(rows, dim=1)


def an_input(
    batch: int, length: int, width: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gates, inputs, a state and a gradient; some gates are exactly 0 and some exactly 1."""
    torch.manual_seed(length * width)
    a = torch.rand(batch, length, width)
    a = torch.where(a < 0.1, 0.0, torch.where(a > 0.9, 1.0, a)).to(dtype)
    b, g = torch.randn(2, batch, length, width).to(dtype)
    return a, b, torch.randn(batch, width), g


def errors_of_kernels(a: Tensor, b: Tensor, state: Tensor | None, g: Tensor) -> list[float]:
    """Of h, da, db and dstate, computed in poisoned memory."""
    given = [a, b] if state is None else [a, b, state]
    inputs = leaves(*(x.double() for x in given))
    wanted_h = by_position(*inputs)
    wanted = (wanted_h, *gradients(wanted_h, g, *inputs))
    a, b, g = in_poison(a), in_poison(b), in_poison(g)
    state = None if state is None else in_poison(state)
    with poisoned_memory():
        h = kernel.forward(a, b, state)
        found = (h, *kernel.backward(g, a, in_poison(h), state))
    return [error(f, w) for f, w in zip(found, wanted, strict=False)]


@pytest.mark.parametrize("length", LENGTHS)
def test_the_kernels_agree_with_a_step_for_each_position(length: int) -> None:
    a, b, state, g = an_input(2 if length < 100 else 1, length, 5)
    assert max(errors_of_kernels(a, b, state, g)) < 1e-6


@pytest.mark.parametrize("length", [1, 64, 65])
def test_the_kernels_start_from_zero_where_no_state_is_given(length: int) -> None:
    a, b, _, g = an_input(1, length, 7)
    assert max(errors_of_kernels(a, b, None, g)) < 1e-6


@pytest.mark.parametrize("width", [1, 16, 65])
def test_the_kernels_take_any_width(width: int) -> None:
    a, b, state, g = an_input(1, 70, width)
    assert max(errors_of_kernels(a, b, state, g)) < 1e-6


@pytest.mark.parametrize("gate", [0.0, 1e-30, 0.999999, 1.0, -0.5])
def test_the_kernels_take_extreme_gates(gate: float) -> None:
    a, b, state, g = an_input(1, 66, 3)
    assert max(errors_of_kernels(torch.full_like(a, gate), b, state, g)) < 2e-6


def test_the_kernels_keep_half_precision_within_tolerance() -> None:
    a, b, state, g = an_input(1, 70, 16, torch.bfloat16)
    h, da, db, dstate = errors_of_kernels(a, b, state, g)
    assert h < 0.005
    assert max(da, db, dstate) < 0.008


def test_the_kernels_give_the_same_bits_twice() -> None:
    a, b, state, g = an_input(1, 70, 5)
    first, second = ((kernel.forward(a, b, state), *kernel.backward(g, a, b, state)) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_nan_spreads_to_later_positions_of_its_channel_alone() -> None:
    a, b, _, _ = an_input(2, 70, 3)
    a[1, 66, 2] = torch.nan
    for h in (kernel.forward(a, b, None), scan(a, b)):
        assert h.isnan().nonzero().tolist() == [[1, t, 2] for t in (66, 67, 68, 69)]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("with_state", [False, True])
def test_the_plain_form_agrees_with_a_step_for_each_position(length: int, with_state: bool) -> None:  # noqa: FBT001
    a, b, state, g = an_input(2, length, 5)
    given = (a, b, state) if with_state else (a, b)
    wide, narrow = leaves(*(x.double() for x in given)), leaves(*given)
    wanted, found = by_position(*wide), scan(*narrow[:2], state=narrow[2] if with_state else None)
    pairs = zip((found, *gradients(found, g, *narrow)), (wanted, *gradients(wanted, g, *wide)), strict=True)
    assert max(error(f, w) for f, w in pairs) < 1e-6


@pytest.mark.parametrize("length", [1, 2, 9])
def test_the_plain_form_has_the_right_gradients(length: int) -> None:
    a, b, state = leaves(*(x.double() for x in an_input(2, length, 3)[:3]))
    assert torch.autograd.gradcheck(lambda a, b: scan(a, b), (a, b))
    assert torch.autograd.gradcheck(lambda a, b, state: scan(a, b, state=state), (a, b, state))


def test_the_input_is_left_as_it_was() -> None:
    a, b, state, _ = an_input(2, 9, 3)
    before = (a.clone(), b.clone(), state.clone())
    scan(a, b, state=state)
    assert all(torch.equal(now, then) for now, then in zip((a, b, state), before, strict=True))


def test_the_last_position_continues_a_sequence() -> None:
    a, b, state, _ = an_input(2, 30, 3)
    first = scan(a[:, :12], b[:, :12], state=state)
    second = scan(a[:, 12:], b[:, 12:], state=first[:, -1])
    assert torch.equal(torch.cat((first, second), dim=1), scan(a, b, state=state))


@pytest.mark.parametrize("edge", [0, 1, 40, 64, 69])
def test_no_position_sees_a_later_one(edge: int) -> None:
    a, b, state, _ = an_input(1, 70, 2)
    a = a.clamp(min=0.5)
    assert changed_from(lambda a: scan(a, b, state=state), a, edge) == edge
    assert changed_from(lambda b: scan(a, b, state=state), b, edge) == edge


def test_no_position_sees_a_later_one_in_the_kernels() -> None:
    a, b, state, _ = an_input(1, 70, 2)
    assert changed_from(lambda b: kernel.forward(a, b, state), b, 63) == 63


def test_no_batch_row_sees_another() -> None:
    a, b, _, _ = an_input(3, 8, 2)
    assert changed_rows(lambda b: scan(a, b), b, 1) == [1]
    assert changed_rows(lambda b: kernel.forward(a, b, None), b, 1) == [1]


def test_views_are_as_good_as_copies() -> None:
    a, b, _, _ = an_input(2, 12, 6)
    across, every = a.mT.contiguous().mT, b[:, :1, :].expand(2, 12, 6)
    assert torch.equal(scan(across, every), scan(a, every.contiguous()))
    assert torch.equal(kernel.forward(across, every, None), kernel.forward(a, every.contiguous(), None))


def test_a_gate_of_float32_widens_half_precision() -> None:
    a, b = leaves(torch.rand(2, 12, 6), torch.randn(2, 12, 6).bfloat16())
    h = scan(a, b)
    da, db = gradients(h, torch.ones_like(h), a, b)
    assert (h.dtype, da.dtype, db.dtype) == (torch.float32, torch.float32, torch.bfloat16)


@pytest.mark.parametrize("with_state", [False, True])
def test_the_operator_keeps_the_rules_of_pytorch(with_state: bool) -> None:  # noqa: FBT001
    a, b, state = leaves(torch.rand(2, 5, 3), torch.randn(2, 5, 3), torch.randn(2, 3))
    given = state if with_state else None
    torch.library.opcheck(operator.scan, (a, b, given))
    torch.library.opcheck(
        operator.scan_backward,
        (b.detach(), a.detach(), b.detach(), None if given is None else given.detach()),
    )


def test_a_compiled_graph_has_one_node_of_the_same_results() -> None:
    a, b, state, _ = an_input(2, 33, 4)
    assert agrees_when_compiled(lambda a, b, state: scan(a.sigmoid(), b, state=state), a, b, state)


def test_the_formula_counts_what_a_step_for_each_position_does() -> None:
    a, b, state, g = an_input(2, 20, 3)

    def forward() -> None:
        h_BD = state
        for t in range(20):
            h_BD = a[:, t] * h_BD + b[:, t]

    def backward() -> None:
        d_BD = torch.zeros_like(state)
        for t in reversed(range(20)):
            d_BD = a[:, t] * d_BD + g[:, t]
            _da_BD = d_BD * b[:, t]

    assert counted(lambda: operator.scan(a, b, state)) == counted(forward, ELEMENTWISE)
    assert counted(lambda: operator.scan_backward(g, a, b, state)) == counted(backward, ELEMENTWISE)


def test_the_cost_grows_with_the_length_and_no_faster() -> None:
    assert growth(lambda length: operator.scan(torch.rand(1, length, 4), torch.rand(1, length, 4), None)) == 8


def test_a_call_on_a_cpu_is_counted() -> None:
    before = paths.counts().get("scan/reference", 0)
    scan(torch.rand(1, 2, 3), torch.randn(1, 2, 3))
    assert paths.counts()["scan/reference"] == before + 1


X = torch.zeros(2, 5, 3)


@pytest.mark.parametrize(
    ("a", "b", "state", "message"),
    [
        (X[0], X, None, "a_BTD is of shape [5, 3]; wanted the shape [B, T, D]."),
        (X[:, :0], X, None, "a_BTD is of shape [2, 0, 3]; wanted at least one value along each axis of [B, T, D]."),
        (X, X[:, :4], None, "b_BTD is of shape [2, 4, 3]; wanted the shape [2, 5, 3]."),
        (X, X, X, "state is of shape [2, 5, 3]; wanted the shape [2, 3]."),
        (X, X.long(), None, "b_BTD is int64; wanted one of bfloat16, float16, float32, float64."),
        (X, X.to("meta"), None, "b_BTD is on meta; wanted cpu, where a_BTD is."),
        (0.5, X, None, "a_BTD is a float; wanted a tensor."),
    ],
)  # fmt: skip
def test_bad_input_is_named(a: Tensor, b: Tensor, state: Tensor | None, message: str) -> None:
    with pytest.raises(BlockInputError) as refusal:
        scan(a, b, state=state)
    assert str(refusal.value) == f"scan: {message}"
