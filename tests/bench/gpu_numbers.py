"""What the blocks compute on a GPU: errors, random shapes in poisoned memory, repeatability, and binaries found.

Shapes: B batch, T time, H heads, K key width of a head, V value width of a head, D channels.
"""

import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from asiarch_kernels import causal_conv, chunk_recurrence, fused_linear_cross_entropy, local_attention, scan
from asiarch_kernels.cache import VARIABLE
from asiarch_kernels.chunk_recurrence.inputs import Inputs
from tests.kernels.checks import error, poisoned_memory
from tests.kernels.recurrences import LIMITS, NAMES, Call, each, given, leaves, pulls, tracked, wanted

WRONG = "WRONG"
RULES = (
    Call(),
    Call(decay="head"),
    Call(delta=True),
    Call(decay="head", delta=True),
    Call(decay="head", delta=True, erase=True),
    Call(decay="channel"),
    Call(decay="channel", delta=True),
)
ROOT = Path(__file__).resolve().parents[2]
HALF, FLOAT = 0.03, 0.005
"""Relative errors of random calls; on a GPU the matrix units take float32 in three parts of tf32."""


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
    rows: list[tuple[str, ...]] = [("chunk_recurrence", "type", "out", *NAMES, "too far")]
    gpu = scale.device == "cuda"
    for rule in RULES:
        for dtype in (torch.bfloat16, torch.float32) if gpu else (torch.float32,):
            for width in (32, 64, 128) if gpu else (16,):
                call = replace(rule, length=200, batch=2, keys=width, values=width, dtype=dtype, state=True)
                inputs = given(call)
                found, right = _measured(inputs, scale.device), wanted(inputs)
                off = {n: error(found[n], right[n]) for n in right}
                cells = [f"{off[n]:.1e}" if n in off else "" for n in ("out", *NAMES)]
                far = [
                    n
                    for n, e in off.items()
                    if not e <= (FLOAT if dtype == torch.float32 else LIMITS.get(n, 0.008))
                ]
                said = f"{WRONG}: {', '.join(far)}" if far else ""
                rows.append((f"{call.rule or 'linear'}, K {width}", str(dtype)[6:], *cells, said))
    return rows


def safety(scale: Where) -> list[tuple[str, ...]]:
    """Random calls in poisoned memory: finite, near the same on a CPU, and alike to the last bit at the second time."""
    chance = random.Random(0)
    gpu = scale.device == "cuda"
    dtypes = (torch.bfloat16, torch.float16, torch.float32) if gpu else (torch.float32,)
    rows: list[tuple[str, ...]] = [
        ("block", "type", "random shapes", "worst error", "limit", "differ at the second run", "")
    ]
    for name, (draw, share) in DRAWS.items():
        for dtype in dtypes:
            count = max(2, scale.shapes // share // len(dtypes))
            limit = FLOAT if dtype == torch.float32 else HALF
            worst, differ = 0.0, 0
            for _ in range(count):
                run = draw(chance, dtype)
                with poisoned_memory():
                    first, again = run(scale.device), run(scale.device)
                differ += any(not torch.equal(a, b) for a, b in zip(first, again, strict=True))
                worst = max(worst, *(_off(a, b) for a, b in zip(first, run("cpu"), strict=True)))
            said = WRONG if differ or not worst <= limit else ""
            cells = (str(dtype)[6:], f"{count}", f"{worst:.1e}", f"{limit:g}", f"{differ}", said)
            rows.append((name, *cells))
    return rows


def binaries(scale: Where) -> str:
    """Whether a real driver takes what was compiled ahead of time, and nothing is compiled at the start."""
    if scale.device != "cuda":
        return "Not measured: it takes a GPU."
    with tempfile.TemporaryDirectory(prefix="asiarch-binaries-") as folder:
        tier = Path(folder) / "tier"
        architecture = "sm_{}{}".format(*torch.cuda.get_device_capability())
        build = ["-m", "asiarch_kernels.aot", "--out", str(tier), "--jobs", str(os.cpu_count() or 1)]
        command = [sys.executable, *build, "--architectures", architecture]
        subprocess.run(command, check=True, cwd=ROOT, stdout=sys.stderr)
        pod = {
            **os.environ,
            VARIABLE: str(tier),
            "TRITON_CACHE_DIR": str(Path(folder) / "written"),
            "TRITON_CACHE_MANAGER": "asiarch_kernels.cache:TwoTierCache",
        }
        calls = [sys.executable, "-m", "tests.bench.gpu_numbers"]
        done = subprocess.run(calls, check=True, cwd=ROOT, env=pod, capture_output=True, text=True)
    told = json.loads(done.stdout)
    said = f" {WRONG}" if told["misses"] or not told["hits"] else ""
    return f"Built for {architecture}; a fresh process: {told['hits']} hits, {told['misses']} misses.{said}"


def _calls() -> None:
    """Calls of each kind in a process of its own; what was found and what was compiled, on stdout."""
    from asiarch_kernels.compiles import listening  # noqa: PLC0415 - it loads Triton

    chance = random.Random(1)
    with listening() as compiles:
        for draw in (_a_recurrence, _a_conv, _a_scan):
            for dtype in (torch.bfloat16, torch.float16, torch.float32):
                for _ in range(20):
                    draw(chance, dtype)("cuda")
    sys.stdout.write(json.dumps({"hits": compiles.hits, "misses": compiles.misses}))


Run = Callable[[str], list[Tensor]]


def _measured(inputs: Inputs, device: str) -> dict[str, Tensor]:
    """Outputs and gradients of the block on a device, as they come."""
    there = tracked(each(inputs, lambda _, x: x.to(device)))
    out, last = chunk_recurrence(
        there.q,
        there.k,
        there.v,
        log_decay=there.log_decay,
        beta=there.beta,
        delta=there.delta,
        erase=there.erase,
        state=there.state,
        starts=None if inputs.starts is None else inputs.starts.to(device),
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
    scale: float = max(float(right.double().norm()), 1e-2 * math.sqrt(right.numel()))
    return float((found.double() - right.double()).norm()) / scale


def _starts(chance: random.Random, length: int) -> tuple[int, ...]:
    """Sequences one behind the other, some of them empty."""
    return tuple(sorted([0, length, *(chance.randint(0, length) for _ in range(4))]))


def _a_recurrence(chance: random.Random, dtype: torch.dtype) -> Run:
    length, batch = chance.randint(1, 300), chance.randint(1, 4)
    starts: tuple[int, ...] = ()
    if chance.random() < 0.3:
        batch, starts = 1, _starts(chance, length)
    call = replace(
        chance.choice(RULES[:5]),
        length=length,
        batch=batch,
        heads=chance.randint(1, 5),
        keys=chance.choice((16, 32, 64, 128, chance.randint(1, 128))),
        values=chance.choice((16, 32, 64, 128, chance.randint(1, 160))),
        starts=starts,
        state=chance.random() < 0.5,
        strength=chance.choice((0.01, 1.0, 10.0)),
        dtype=dtype,
    )
    inputs = given(call)
    return lambda where: list(_measured(inputs, where).values())


def _a_conv(chance: random.Random, dtype: torch.dtype) -> Run:
    x = torch.randn(1, chance.randint(1, 300), chance.randint(1, 200)).to(dtype)
    w = torch.randn(x.shape[2], chance.randint(1, 64))
    silu = chance.random() < 0.5
    starts = torch.tensor(_starts(chance, x.shape[1]), dtype=torch.int32) if chance.random() < 0.5 else None

    def call(x: Tensor, w: Tensor) -> Tensor:
        return causal_conv(x, w, silu=silu, starts=None if starts is None else starts.to(x.device))

    return lambda where: _pulled(call, where, x, w)


def _a_scan(chance: random.Random, dtype: torch.dtype) -> Run:
    a = torch.rand(chance.randint(1, 4), chance.randint(1, 600), chance.randint(1, 200)).to(dtype)
    b, state = torch.randn(a.shape).to(dtype), torch.randn(a.shape[0], a.shape[2])
    if chance.random() < 0.5:
        return lambda where: _pulled(scan, where, a, b)
    return lambda where: _pulled(lambda a, b, s: scan(a, b, state=s), where, a, b, state)


def _an_attention(chance: random.Random, dtype: torch.dtype) -> Run:
    shape = (chance.randint(1, 3), chance.randint(1, 200), chance.randint(1, 4), chance.randint(4, 64))
    q, k, v = (torch.randn(shape).to(dtype) for _ in range(3))
    window = chance.randint(1, 80)
    return lambda where: _pulled(lambda q, k, v: local_attention(q, k, v, window), where, q, k, v)


def _a_loss(chance: random.Random, dtype: torch.dtype) -> Run:
    rows, width, classes = chance.randint(1, 300), chance.randint(4, 64), chance.randint(2, 300)
    x, weight = torch.randn(rows, width).to(dtype), torch.randn(classes, width).to(dtype)
    target = torch.randint(classes, (rows,))

    def call(x: Tensor, weight: Tensor) -> Tensor:
        return fused_linear_cross_entropy(x, weight, target.to(x.device))

    return lambda where: _pulled(call, where, x, weight)


DRAWS: dict[str, tuple[Callable[[random.Random, torch.dtype], Run], int]] = {
    "chunk_recurrence": (_a_recurrence, 1),
    "causal_conv": (_a_conv, 4),
    "scan": (_a_scan, 4),
    "local_attention": (_an_attention, 8),
    "fused_linear_cross_entropy": (_a_loss, 8),
}
"""How a call is drawn, and by how much fewer of them are."""


def _pulled(block: Callable[..., Tensor], where: str, *inputs: Tensor) -> list[Tensor]:
    """Outputs and gradients of a block on a device."""
    there = [x.to(where).requires_grad_() for x in (y.detach().clone() for y in inputs)]
    out = block(*there)
    pull = torch.randn(out.shape, generator=torch.Generator().manual_seed(2)).to(out)
    return [x.detach().cpu() for x in (out, *torch.autograd.grad(out, there, pull))]


if __name__ == "__main__":
    _calls()
