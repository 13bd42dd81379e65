"""The recurrence as a candidate calls it on a CPU: the reference, and what is refused."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from asiarch_kernels import chunk_recurrence
from asiarch_kernels.chunk_recurrence import reference
from asiarch_kernels.chunk_recurrence.inputs import Inputs
from asiarch_kernels.fault import BlockInputError
from tests.kernels.recurrences import Call, by_token, each, given, leaves, pulls, too_far, tracked, wanted

DOUBLE = 1e-10
RULES = tuple(
    (decay, delta, erase)
    for decay, (delta, erase) in itertools.product(
        ("", "head", "channel"), ((False, False), (True, False), (True, True))
    )
)
LENGTHS = (1, 15, 64, 65)
SEVERAL = (0, 0, 1, 18, 18, 70, 70)


def call(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """The block, with everything that was given."""
    named = {
        name: getattr(inputs, name) for name in ("log_decay", "beta", "delta", "erase", "state", "starts")
    }
    out, last = chunk_recurrence(inputs.q, inputs.k, inputs.v, **named, return_state=True)
    return out, last


def found(inputs: Inputs) -> dict[str, Tensor]:
    """Outputs, last states and gradients of the block."""
    inputs = tracked(inputs)
    out, last = call(inputs)
    named = leaves(inputs)
    gradients = torch.autograd.grad((out, last), tuple(named.values()), pulls(inputs))
    return {"out": out, "last": last, **dict(zip(named, gradients, strict=True))}


@pytest.mark.parametrize(("decay", "delta", "erase"), RULES)
@pytest.mark.parametrize("length", LENGTHS)
def test_it_is_the_recurrence_position_by_position(
    length: int, decay: str, *, delta: bool, erase: bool
) -> None:
    shape = Call(length, keys=6, values=4, decay=decay, delta=delta, erase=erase, state=length % 2 == 1)
    inputs = given(replace(shape, dtype=torch.float64))
    assert not list(too_far(found(inputs), wanted(inputs), DOUBLE))


@pytest.mark.parametrize("length", [63, 200, 256])
@pytest.mark.parametrize("decay", ["head", "channel"])
def test_it_goes_from_chunk_to_chunk(length: int, decay: str) -> None:
    inputs = given(Call(length, keys=6, values=4, decay=decay, delta=True, dtype=torch.float64))
    assert not list(too_far(found(inputs), wanted(inputs), DOUBLE))


@pytest.mark.parametrize("strength", [0.01, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("decay", ["head", "channel"])
def test_decays_of_any_strength_are_computed_in_float32(decay: str, strength: float) -> None:
    inputs = given(Call(100, keys=8, values=8, decay=decay, delta=True, strength=strength))
    assert not list(too_far(found(inputs), wanted(inputs), 1e-5))


@pytest.mark.parametrize(("decay", "delta", "erase"), RULES)
def test_sequences_of_any_length_lie_one_behind_the_other(decay: str, *, delta: bool, erase: bool) -> None:
    inputs = given(
        Call(70, 1, 2, 6, 4, decay, delta, erase=erase, state=True, starts=SEVERAL, dtype=torch.float64)
    )
    assert not list(too_far(found(inputs), wanted(inputs), DOUBLE))


@pytest.mark.parametrize(
    ("decay", "delta", "erase", "strength"),
    [(*rule, strength) for rule in RULES for strength in ((0.05, 40.0) if rule[0] == "channel" else (1.0,))],
)
def test_autograd_differentiates_the_reference(
    decay: str, strength: float, *, delta: bool, erase: bool
) -> None:
    """Strong decays of channels are computed in another way than mild ones."""
    shape = Call(4, 1, 1, 2, 2, decay, delta, erase=erase, state=True, strength=strength, dtype=torch.float64)
    inputs = tracked(given(shape))
    named = leaves(inputs)

    def run(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        return reference.chunk_recurrence(
            each(inputs, lambda name, _: dict(zip(named, tensors, strict=True))[name]), chunk=2
        )

    assert torch.autograd.gradcheck(run, tuple(named.values()))


@pytest.mark.parametrize(("decay", "delta", "erase"), RULES)
@pytest.mark.parametrize("edge", [1, 63, 65])
def test_nothing_sees_what_comes_later(edge: int, decay: str, *, delta: bool, erase: bool) -> None:
    before = given(Call(70, 2, 1, 8, 8, decay, delta, erase=erase))
    after = each(before, lambda name, x: changed(name, x, edge, 1))
    was, now = call(before)[0], call(after)[0]
    assert torch.allclose(was[:, :edge], now[:, :edge], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(was[:, edge], now[:, edge], rtol=1e-2)


@pytest.mark.parametrize(("decay", "delta", "erase"), RULES)
def test_sequences_of_a_batch_see_nothing_of_each_other(decay: str, *, delta: bool, erase: bool) -> None:
    before = given(Call(70, 2, 1, 8, 8, decay, delta, erase=erase, state=True))
    after = each(before, lambda name, x: changed(name, x, 1, 0))
    was, now = call(before)[0], call(after)[0]
    assert torch.allclose(was[0], now[0], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(was[1], now[1], rtol=1e-2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_are_computed_in_float32(dtype: torch.dtype) -> None:
    inputs = given(Call(100, keys=16, values=16, decay="head", delta=True, dtype=dtype))
    results = found(inputs)
    assert not list(too_far(results, wanted(inputs)))
    assert results["out"].dtype == dtype
    assert results["last"].dtype == torch.float32


def test_autocast_reaches_queries_keys_and_values_alone() -> None:
    inputs = given(Call(100, decay="head", delta=True, erase=True))
    with torch.autocast("cpu", torch.bfloat16):
        out, last = call(inputs)
    assert out.dtype == torch.bfloat16
    assert last.dtype == torch.float32
    halved = each(inputs, lambda name, x: x.bfloat16() if name in ("q", "k", "v", "erase") else x)
    assert torch.equal(out, call(halved)[0])


def test_tensors_that_are_not_contiguous_are_taken() -> None:
    inputs = given(Call(20, heads=3, decay="head", delta=True))
    turned = each(inputs, lambda _, x: x.transpose(1, 2).contiguous().transpose(1, 2))
    assert torch.equal(call(inputs)[0], call(turned)[0])


def test_a_state_carries_a_sequence_on() -> None:
    whole = given(Call(90, decay="channel", delta=True))
    out, last = call(whole)
    parts = each(whole, lambda _, x: x[:, :40]), each(whole, lambda _, x: x[:, 40:])
    first, state = call(parts[0])
    second, state = call(replace(parts[1], state=state))
    assert torch.allclose(torch.cat((first, second), dim=1), out, atol=1e-5)
    assert torch.allclose(state, last, atol=1e-5)


def test_without_return_state_there_are_outputs_alone() -> None:
    inputs = given(Call(20))
    out = chunk_recurrence(inputs.q, inputs.k, inputs.v)
    assert isinstance(out, Tensor)
    assert torch.allclose(out, by_token(replace(inputs, beta=None))[0].float(), atol=1e-5)


def with_nan(x: Tensor) -> Tensor:
    broken = x.clone()
    broken.view(-1)[3] = torch.nan
    return broken


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no tensor": (lambda i: replace(i, q=[1.0]), "q_BTHK is a list; wanted a tensor"),
    "three axes": (lambda i: replace(i, q=i.q[0]), r"q_BTHK is of shape .*wanted the shape \[B, T, H, K\]"),
    "no positions": (
        lambda i: replace(i, q=i.q[:, :0], k=i.k[:, :0], v=i.v[:, :0]),
        "at least one value along each axis",
    ),
    "no batch": (lambda i: replace(i, q=i.q[:0]), "at least one value along each axis"),
    "narrow keys": (lambda i: replace(i, k=i.k[..., :3]), "k_BTHK is of shape"),
    "few values": (lambda i: replace(i, v=i.v[:, 1:]), "v_BTHV is of shape"),
    "two types": (lambda i: replace(i, k=i.k.double()), "k_BTHK is float64; wanted float32, as q_BTHK is"),
    "whole numbers": (lambda i: replace(i, q=i.q.int()), "q_BTHK is int32; wanted one of bfloat16"),
    "mixed devices": (
        lambda i: replace(i, v=i.v.to("meta")),
        "v_BTHV is on meta; wanted cpu, where q_BTHK is",
    ),
    "gates of no shape": (
        lambda i: replace(i, log_decay=i.log_decay[..., None, None]),
        "log_decay is of shape",
    ),
    "gates elsewhere": (lambda i: replace(i, beta=i.beta.to("meta")), "beta is on meta"),
    "growth": (
        lambda i: replace(i, log_decay=-i.log_decay),
        "log_decay is from .* wanted finite values of at most 0",
    ),
    "an end": (lambda i: replace(i, log_decay=i.log_decay - torch.inf), "finite values"),
    "growth beside NaN": (
        lambda i: replace(i, log_decay=with_nan(-i.log_decay)),
        r"log_decay is from 0\.\d+ to 0\.\d+; wanted finite values of at most 0",
    ),
    "a word for a flag": (lambda i: replace(i, delta="no"), "delta is 'no'; wanted True or False"),
    "an idle erase key": (lambda i: replace(i, delta=False, erase=i.k), "erase is given without delta"),
    "a half state": (lambda i: replace(i, state=i.state.half()), "state is float16; wanted float32"),
    "a small state": (lambda i: replace(i, state=i.state[:1]), "state is of shape"),
    "starts of a batch": (
        lambda i: replace(i, starts=torch.tensor([0, 9], dtype=torch.int32)),
        "a batch of 1",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_cannot_take_is_refused_by_name(name: str) -> None:
    change, message = REFUSED[name]
    inputs = change(given(Call(9, decay="head", delta=True, state=True)))
    with pytest.raises(BlockInputError, match=message):
        call(inputs)


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        (torch.tensor([0, 9]), "starts is int64; wanted int32"),
        (torch.tensor([0], dtype=torch.int32), "at least two"),
        (torch.tensor([0, 8], dtype=torch.int32), "from 0 to 9 that never fall"),
        (torch.tensor([0, 5, 3, 9], dtype=torch.int32), "from 0 to 9 that never fall"),
    ],
)
def test_starts_that_do_not_fit_are_refused(starts: Tensor, message: str) -> None:
    inputs = replace(given(Call(9, batch=1)), starts=starts)
    with pytest.raises(BlockInputError, match=message):
        call(inputs)


@pytest.mark.parametrize("decay", ["head", "channel"])
@pytest.mark.parametrize("name", ["log_decay", "beta", "k"])
def test_nan_comes_out_again_in_its_own_sequence_and_not_before_its_chunk(decay: str, name: str) -> None:
    inputs = given(Call(130, decay=decay, delta=True))
    broken = getattr(inputs, name).clone()
    broken[1, 70] = torch.nan
    replaced: dict[str, Any] = {name: broken}
    whole, out = call(inputs)[0], call(replace(inputs, **replaced))[0]
    assert out[1, 70:].isnan().all()
    assert torch.allclose(out[1, :7], whole[1, :7], atol=1e-6)  # a chunk with 70 begins behind them
    assert torch.allclose(out[0], whole[0], atol=1e-6)


def changed(name: str, x: Tensor, start: int, axis: int) -> Tensor:
    """Other values of the same kind in a tensor, from a place of one axis on."""
    other = x.clone()
    inside = other.narrow(axis, start, x.shape[axis] - start)
    inside.copy_(inside * 0.5 if name in ("log_decay", "beta") else -inside + 0.3)
    return other
