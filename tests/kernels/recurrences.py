"""Calls of the recurrence for its tests, and what the token-by-token form says about them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from asiarch_kernels.chunk_recurrence.inputs import Inputs
from tests.kernels.oracles import recurrence_by_token

NAMES = ("q", "k", "v", "log_decay", "beta", "erase", "state")
LIMITS = {"out": 0.005, "last": 0.005, "log_decay": 0.02, "beta": 0.02, "erase": 0.008, "state": 0.008}
"""Relative RMS errors that half types may have, as flash-linear-attention's tests allow; 0.008 for q, k and v."""


@dataclass(frozen=True)
class Call:
    """What a call is made of; `decay` is "", "head" or "channel"."""

    length: int = 20
    batch: int = 2
    heads: int = 1
    keys: int = 16
    values: int = 16
    decay: str = ""
    delta: bool = False
    beta: bool = True
    erase: bool = False
    state: bool = False
    starts: tuple[int, ...] = ()
    strength: float = 1.0
    dtype: torch.dtype = torch.float32

    @property
    def rule(self) -> str:
        return " ".join(
            filter(None, (self.decay and f"{self.decay} decay", self.delta * "delta", self.erase * "erase"))
        )

    def __str__(self) -> str:
        shape = f"{self.batch}x{self.length}x{self.heads}x{self.keys}x{self.values}"
        return "-".join(
            filter(None, (shape, self.rule.replace(" ", "-"), self.state * "state", str(self.dtype)[6:]))
        )


def given(call: Call) -> Inputs:
    """Tensors for a call, the same at each call; the delta rule's keys have unit length."""
    torch.manual_seed(call.length + 7 * call.keys)
    plain = (call.batch, call.length, call.heads)
    sequences = len(call.starts) - 1 if call.starts else call.batch
    gate = torch.float64 if call.dtype == torch.float64 else torch.float32
    width = {"": (), "head": (), "channel": (call.keys,)}[call.decay]
    log_decay, beta = -call.strength * torch.rand(*plain, *width, dtype=gate), torch.rand(plain, dtype=gate)
    q, k, v = (torch.randn(*plain, size) for size in (call.keys, call.keys, call.values))
    erase = functional.normalize(torch.randn(*plain, call.keys), dim=-1).to(call.dtype)
    state = torch.randn(sequences, call.heads, call.keys, call.values, dtype=gate)
    return Inputs(
        (q * call.keys**-0.5).to(call.dtype),
        functional.normalize(k, dim=-1).to(call.dtype),
        v.to(call.dtype),
        log_decay if call.decay else None,
        beta if call.beta else None,
        erase if call.erase else None,
        state if call.state else None,
        torch.tensor(call.starts, dtype=torch.int32) if call.starts else None,
        call.delta,
        return_state=True,
    )


def leaves(inputs: Inputs) -> dict[str, Tensor]:
    """The given tensors that gradients flow to, by name."""
    return {name: x for name in NAMES if (x := getattr(inputs, name)) is not None}


def each(inputs: Inputs, change: Callable[[str, Tensor], Tensor]) -> Inputs:
    """The same with each of those tensors changed."""
    changed: dict[str, Any] = {name: change(name, x) for name, x in leaves(inputs).items()}
    return replace(inputs, **changed)


def tracked(inputs: Inputs) -> Inputs:
    """The same tensors, of which gradients are wanted."""
    return each(inputs, lambda _, x: x.detach().requires_grad_())


def by_token(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """What the independent form says."""
    return recurrence_by_token(
        inputs.q,
        inputs.k,
        inputs.v,
        log_decay=inputs.log_decay,
        beta=inputs.beta,
        erase=inputs.erase,
        delta=inputs.delta,
        state=inputs.state,
        starts=inputs.starts,
    )


def pulls(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Gradients of outputs and last states to begin a backward pass with."""
    torch.manual_seed(0)
    sequences = inputs.q.shape[0] if inputs.starts is None else len(inputs.starts) - 1
    gate = torch.float64 if inputs.q.dtype == torch.float64 else torch.float32
    d_last = torch.randn(sequences, inputs.q.shape[2], inputs.q.shape[3], inputs.v.shape[3], dtype=gate)
    return torch.randn(inputs.v.shape).to(inputs.q.dtype), d_last


def wanted(inputs: Inputs) -> dict[str, Tensor]:
    """Outputs, last states and all gradients of the independent form, in float64."""
    inputs = tracked(inputs)
    out, last = by_token(inputs)
    named = leaves(inputs)
    gradients = torch.autograd.grad(
        (out, last), tuple(named.values()), tuple(x.double() for x in pulls(inputs))
    )
    return {"out": out.detach(), "last": last.detach(), **dict(zip(named, gradients, strict=True))}


def too_far(found: dict[str, Tensor], wanted: dict[str, Tensor], limit: float | None = None) -> Iterator[str]:
    """What is further off than its limit, in words; a gradient of nothing counts absolutely."""
    for name, right in wanted.items():
        scale = max(float(right.double().norm()), 1e-3)
        error = float((found[name].detach().double() - right.double()).norm()) / scale
        if not error <= (limit or LIMITS.get(name, 0.008)):
            yield f"{name} is off by {error:.2e}"
