"""The recurrence against flash-linear-attention's naive forms, outputs and gradients.

Errors are relative RMS, within what flash-linear-attention's own tests allow.
"""

import importlib
import inspect
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from asiarch_kernels.chunk_recurrence import kernel, reference
from asiarch_kernels.chunk_recurrence.inputs import Inputs
from tests.kernels.recurrences import Call, given, leaves, pulls, too_far, tracked

pytest.importorskip("fla", reason="flash-linear-attention is installed on Linux alone", exc_type=ImportError)

RULES = {
    "linear attention": Call(beta=False),
    "simple GLA": Call(decay="head", beta=False),
    "GLA": Call(decay="channel", beta=False),
    "delta rule": Call(delta=True),
    "gated delta rule": Call(decay="head", delta=True),
    "KDA": Call(decay="channel", delta=True),
}
SIZES = ((1, 4, 32), (15, 1, 128), (63, 2, 64), (64, 3, 16), (65, 2, 32), (200, 1, 64), (256, 2, 16))
"""Length, batch and width."""
KERNEL_SIZES = ((1, 4, 16, 1.0), (15, 2, 64, 10.0), (65, 1, 128, 1.0), (81, 2, 32, 0.01), (200, 1, 16, 10.0))
"""The same with the strength of decays; Triton's interpreter takes its time."""


def imported(module: str, function: str) -> Callable[..., Any]:
    """One of their functions; what importing it says of machines without a GPU is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Callable[..., Any] = getattr(importlib.import_module(f"fla.ops.{module}"), function)
        return found


def naive(module: str, function: str) -> Callable[..., Any]:
    """One of their naive forms."""
    return imported(f"{module}.naive", function)


def theirs(rule: str, given: Inputs) -> Tensor:
    """Outputs [B, T, H, V]; some of their forms scale queries by themselves, and one has heads before time."""
    q, k, v, g, beta = given.q, given.k, given.v, given.log_decay, given.beta
    scaled = q * q.shape[-1] ** 0.5
    match rule:
        case "linear attention":
            out, _ = naive("linear_attn", "naive_recurrent_linear_attn")(q, k, v, scale=1.0)
        case "simple GLA":
            out, _ = naive("simple_gla", "naive_recurrent_simple_gla")(q, k, v, g, scale=1.0)
        case "GLA":
            out, _ = naive("gla", "naive_recurrent_gla")(scaled, k, v, g)
        case "delta rule":
            heads_first = (x.transpose(1, 2) for x in (scaled, k, v, beta) if x is not None)
            out = naive("delta_rule", "delta_rule_recurrence")(*heads_first)[0].transpose(1, 2)
        case "gated delta rule":
            out, _ = naive("gated_delta_rule", "naive_recurrent_gated_delta_rule")(
                q, k, v, beta, g, scale=1.0
            )
        case _:
            out, _ = naive("kda", "naive_recurrent_kda")(q, k, v, g, beta, scale=1.0)
    assert isinstance(out, Tensor)
    return out


def measured(form: Callable[[Inputs], Tensor], inputs: Inputs) -> dict[str, Tensor]:
    """Outputs and all gradients of a form."""
    inputs = tracked(inputs)
    out, named = form(inputs), leaves(inputs)
    gradients = torch.autograd.grad(out, tuple(named.values()), pulls(inputs)[0])
    return {"out": out.detach(), **dict(zip(named, gradients, strict=True))}


@pytest.mark.parametrize("strength", [0.01, 1.0, 10.0])
@pytest.mark.parametrize("rule", RULES)
def test_the_reference_is_their_naive_form(rule: str, strength: float) -> None:
    for length, batch, width in SIZES:
        call = replace(RULES[rule], length=length, batch=batch, keys=width, values=width, strength=strength)
        inputs = given(call)
        wanted = measured(lambda tracked: theirs(rule, tracked), inputs)
        ours = measured(lambda tracked: reference.chunk_recurrence(tracked)[0], inputs)
        assert not list(too_far(ours, wanted)), str(call)


@pytest.mark.parametrize(("length", "batch", "width", "strength"), KERNEL_SIZES)
@pytest.mark.parametrize("rule", [rule for rule, call in RULES.items() if call.decay != "channel"])
def test_the_kernels_are_their_naive_form(
    rule: str, length: int, batch: int, width: int, strength: float
) -> None:
    call = replace(RULES[rule], length=length, batch=batch, keys=width, values=width, strength=strength)
    inputs = given(call)
    wanted = measured(lambda tracked: theirs(rule, tracked), inputs)
    out, _ = kernel.forward(inputs)
    gradients = kernel.backward(inputs, pulls(inputs)[0], None)._asdict()
    assert not list(too_far({"out": out, **gradients}, wanted))


@pytest.mark.parametrize(
    ("module", "function", "gates"), [("kda", "chunk_kda", ["beta"]), ("gla", "chunk_gla", [])]
)
def test_the_forms_for_a_gpu_take_what_they_are_given(module: str, function: str, gates: list[str]) -> None:
    names = list(inspect.signature(imported(module, function)).parameters)
    assert names[: 4 + len(gates)] == ["q", "k", "v", "g", *gates]
    assert {"scale", "initial_state", "output_final_state", "cu_seqlens"} <= set(names)
