"""What the blocks compute on a GPU: errors relative to float64, random shapes, and repeatability to the last bit.

Shapes: B batch, T time, H heads, K key and value width of a head, D channels.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from asiarch_kernels import causal_conv, chunk_recurrence, scan
from asiarch_kernels.chunk_recurrence.inputs import Inputs
from tests.kernels.checks import error
from tests.kernels.recurrences import NAMES, Call, each, given, leaves, pulls, tracked, wanted

RULES = (
    Call(),
    Call(decay="head"),
    Call(delta=True),
    Call(decay="head", delta=True),
    Call(decay="channel"),
    Call(decay="channel", delta=True),
    Call(decay="head", delta=True, erase=True),
)
WIDTHS = (16, 32, 64, 128)


class Where(Protocol):
    """What of a benchmark's scale is asked for here."""

    @property
    def device(self) -> str:
        """Of torch."""

    @property
    def shapes(self) -> int:
        """How many random shapes are tried."""


def errors(scale: Where) -> list[tuple[str, ...]]:
    """Relative RMS errors of outputs and gradients against the token-by-token form in float64."""
    rows: list[tuple[str, ...]] = [("chunk_recurrence", "type", "out", *NAMES)]
    dtypes = (torch.bfloat16, torch.float32) if scale.device == "cuda" else (torch.float32,)
    for rule in RULES:
        for dtype in dtypes:
            for width in (64,) if scale.device == "cuda" else (16,):
                call = replace(rule, length=200, batch=2, keys=width, values=width, dtype=dtype, state=True)
                inputs = given(call)
                found, right = _measured(inputs, scale.device), wanted(inputs)
                cells = [f"{error(found[n], right[n]):.1e}" if n in right else "" for n in ("out", *NAMES)]
                rows.append((f"{call.rule or 'linear'}, K {width}", str(dtype)[6:], *cells))
    return rows


def safety(scale: Where) -> list[tuple[str, ...]]:
    """Random calls: finite where they should be, near the reference, alike at the second time."""
    chance = random.Random(0)
    rows: list[tuple[str, ...]] = [("block", "random shapes", "worst error", "differ at the second run")]
    for name, draw in (("chunk_recurrence", _a_recurrence), ("causal_conv", _a_conv), ("scan", _a_scan)):
        count = scale.shapes if name == "chunk_recurrence" else scale.shapes // 4
        worst, differ = 0.0, 0
        for _ in range(count):
            run = draw(chance, scale.device)
            first, again, right = run(scale.device), run(scale.device), run("cpu")
            differ += any(not torch.equal(a, b) for a, b in zip(first, again, strict=True))
            worst = max(worst, *(_off(a, b) for a, b in zip(first, right, strict=True)))
        rows.append((name, str(count), f"{worst:.1e}", str(differ)))
    return rows


Run = Callable[[str], list[Tensor]]


def _measured(inputs: Inputs, device: str) -> dict[str, Tensor]:
    """Outputs and gradients of the block on a device, as they come."""
    there = tracked(each(inputs, lambda _, x: x.to(device)))
    starts = None if inputs.starts is None else inputs.starts.to(device)
    out, last = chunk_recurrence(
        there.q,
        there.k,
        there.v,
        log_decay=there.log_decay,
        beta=there.beta,
        delta=there.delta,
        erase=there.erase,
        state=there.state,
        starts=starts,
        return_state=True,
    )
    named = leaves(there)
    d_out, d_last = pulls(inputs)
    gradients = torch.autograd.grad((out, last), tuple(named.values()), (d_out.to(out), d_last.to(last)))
    found = dict(zip(named, gradients, strict=True))
    return {n: x.detach().cpu() for n, x in {"out": out, "last": last, **found}.items()}


def _off(found: Tensor, right: Tensor) -> float:
    """A relative error that a gradient of nothing doesn't divide by zero; infinite for what isn't finite."""
    if not bool(found.isfinite().all()):
        return float("inf")
    return float((found.double() - right.double()).norm()) / max(float(right.double().norm()), 1e-2)


def _a_recurrence(chance: random.Random, device: str) -> Run:
    dtypes = (torch.bfloat16, torch.float16, torch.float32) if device == "cuda" else (torch.float32,)
    width = chance.choice(WIDTHS if device == "cuda" else WIDTHS[:1])
    length, batch = chance.randint(1, 300), chance.randint(1, 4)
    starts: tuple[int, ...] = ()
    if chance.random() < 0.3:
        batch, starts = 1, tuple(sorted({0, length, *(chance.randint(0, length) for _ in range(3))}))
    call = replace(
        chance.choice(RULES[:4]),
        length=length,
        batch=batch,
        heads=chance.randint(1, 5),
        keys=width,
        values=width,
        starts=starts,
        state=chance.random() < 0.5,
        strength=chance.choice((0.01, 1.0, 10.0)),
        dtype=chance.choice(dtypes),
    )
    inputs = given(call)
    return lambda where: list(_measured(inputs, where).values())


def _a_conv(chance: random.Random, device: str) -> Run:
    x = torch.randn(chance.randint(1, 4), chance.randint(1, 300), chance.randint(1, 200))
    w = torch.randn(x.shape[2], chance.randint(1, 64))
    silu = chance.random() < 0.5
    return lambda where: _pulled(lambda x, w: causal_conv(x, w, silu=silu), where, x, w)


def _a_scan(chance: random.Random, device: str) -> Run:
    a = torch.rand(chance.randint(1, 4), chance.randint(1, 600), chance.randint(1, 200))
    return lambda where: _pulled(
        scan, where, a, torch.randn(a.shape, generator=torch.Generator().manual_seed(1))
    )


def _pulled(block: Callable[..., Tensor], where: str, *inputs: Tensor) -> list[Tensor]:
    """Outputs and gradients of a block on a device."""
    there = [x.to(where).requires_grad_() for x in (y.detach().clone() for y in inputs)]
    out = block(*there)
    pull = torch.randn(out.shape, generator=torch.Generator().manual_seed(2)).to(out)
    return [x.detach().cpu() for x in _all(out, torch.autograd.grad(out, there, pull))]


def _all(first: Tensor, rest: tuple[Tensor, ...]) -> Iterator[Tensor]:
    yield first
    yield from rest
