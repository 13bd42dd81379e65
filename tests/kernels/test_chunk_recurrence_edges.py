"""What the recurrence's kernels do at the edges: several sequences, foreign memory, NaN, odd tensors."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from asiarch_kernels.chunk_recurrence import kernel, programs
from tests.kernels.interpreted import FLOAT, found
from tests.kernels.recurrences import Call, each, given, too_far, wanted

GATED_DELTA = Call(decay="head", delta=True)


@pytest.mark.parametrize("delta", [False, True])
def test_sequences_of_any_length_lie_one_behind_the_other(*, delta: bool) -> None:
    inputs = given(
        Call(length=40, batch=1, decay="head", delta=delta, state=True, starts=(0, 0, 1, 18, 18, 40, 40))
    )
    assert not list(too_far(found(inputs), wanted(inputs), FLOAT))


def test_an_erase_key_of_its_own_takes_twice_the_positions() -> None:
    inputs = given(replace(GATED_DELTA, length=37, erase=True, state=True))
    assert not list(too_far(found(inputs), wanted(inputs), FLOAT))


@pytest.mark.parametrize(("keys", "values"), [(16, 40), (24, 16), (7, 5), (20, 70)])
@pytest.mark.parametrize("erase", [False, True])
def test_keys_and_values_may_have_any_widths(keys: int, values: int, *, erase: bool) -> None:
    call = replace(GATED_DELTA, length=21, heads=2, keys=keys, values=values, state=True, erase=erase)
    assert kernel.unsupported(given(call)) == ""
    assert not list(too_far(found(given(call)), wanted(given(call)), FLOAT))


def test_sequences_with_values_of_their_own_width() -> None:
    inputs = given(Call(length=40, batch=1, keys=12, values=33, state=True, starts=(0, 1, 18, 40)))
    assert not list(too_far(found(inputs), wanted(inputs), FLOAT))


def test_without_a_write_strength_it_is_one() -> None:
    inputs = given(replace(GATED_DELTA, beta=False, erase=True, batch=1))
    assert not list(too_far(found(inputs), wanted(inputs), FLOAT))


@pytest.mark.parametrize("erase", [False, True])
def test_nothing_of_what_memory_held_before_comes_out(
    monkeypatch: pytest.MonkeyPatch, *, erase: bool
) -> None:
    inputs = given(replace(GATED_DELTA, length=37, batch=1, heads=2, erase=erase))
    right = wanted(inputs)
    poison_memory(monkeypatch)
    assert not list(too_far(found(inputs), right, FLOAT))


def test_nothing_beyond_the_last_position_is_read() -> None:
    inputs = given(replace(GATED_DELTA, length=37, batch=1, heads=2))
    among_nan = each(inputs, lambda _, x: amid_nan(x))
    assert not list(too_far(found(among_nan), wanted(inputs), FLOAT))


def test_starts_that_do_not_fit_lead_nowhere() -> None:
    inputs = given(Call(length=40, batch=1, decay="head", delta=True, starts=(0, 20, 40)))
    short = found(replace(inputs, starts=torch.tensor([0, 20, 30], dtype=torch.int32)))
    assert short["out"][:, :30].isfinite().all()
    assert short["out"][:, 30:].isnan().all()
    wild = found(replace(inputs, starts=torch.tensor([-5, 1_000_000, 7], dtype=torch.int32)))
    assert wild["out"].shape == inputs.v.shape


def test_a_nan_gate_comes_out_as_nan() -> None:
    inputs = given(replace(GATED_DELTA, length=40))
    assert inputs.beta is not None
    hole_BTH = torch.zeros(inputs.q.shape[:3])
    hole_BTH[0, 20] = torch.nan
    assert inputs.log_decay is not None
    assert inputs.beta is not None
    for name, broken in (
        ("log_decay", replace(inputs, log_decay=inputs.log_decay + hole_BTH)),
        ("beta", replace(inputs, beta=inputs.beta + hole_BTH)),
    ):
        out, last = kernel.forward(broken)
        assert out[0, 20:].isnan().all(), name
        assert last[0].isnan().all(), name
        assert out[1].isfinite().all(), name


def test_two_runs_are_bitwise_equal() -> None:
    inputs = given(replace(GATED_DELTA, length=37))
    first, second = found(inputs), found(inputs)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_no_kernel_adds_in_an_order_that_chance_decides() -> None:
    texts = [path.read_text() for path in Path(programs.__file__).parent.glob("programs*.py")]
    assert len(texts) == 3
    assert not any("atomic" in text for text in texts)


def test_tensors_that_are_not_contiguous_are_taken() -> None:
    inputs = given(replace(GATED_DELTA, length=20, heads=2))
    turned = each(inputs, lambda _, x: x.transpose(1, 2).contiguous().transpose(1, 2))
    first, second = found(inputs), found(turned)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_no_kernel_computes_is_named() -> None:
    assert "channel" in kernel.unsupported(given(Call(decay="channel")))
    assert "width 129, only up to 128" in kernel.unsupported(given(Call(keys=129)))
    assert "float64" in kernel.unsupported(given(Call(dtype=torch.float64)))
    assert not kernel.unsupported(given(GATED_DELTA))


def amid_nan(x: Tensor) -> Tensor:
    """The same values in the midst of NaN."""
    room = torch.full((x.numel() + 8_192,), torch.nan, dtype=x.dtype)
    inside = room[4_096 : 4_096 + x.numel()].view(x.shape)
    inside.copy_(x)
    return inside


def poison_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is allocated without values is full of NaN, or of an index that leads nowhere."""

    def poisoned(tensor: Tensor) -> Tensor:
        return tensor.fill_(torch.nan if tensor.is_floating_point() else 2**30)

    empty_like, new_empty = torch.empty_like, torch.Tensor.new_empty
    monkeypatch.setattr(torch, "empty_like", lambda *a, **k: poisoned(empty_like(*a, **k)))
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda *a, **k: poisoned(new_empty(*a, **k)))
