"""Building blocks on a GPU, beside flash-linear-attention and torch.compile at the same shapes and types.

Run: python -m tests.bench.gpu_kernels
     python -m tests.bench.gpu_kernels --only safety
     python -m tests.bench.gpu_kernels --rehearse    (small and on a CPU, for what can break without a GPU)

Shapes: B batch, T time, H heads, K key and value width of a head, D channels, J taps, N rows, V classes.
"""

import argparse
import importlib
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from asiarch_kernels import causal_conv, chunk_recurrence, fused_linear_cross_entropy, paths, scan
from asiarch_kernels.chunk_recurrence import cost
from tests.bench import gpu_numbers
from tests.bench.figures import publish, written

HEAD = (
    "call",
    "ours, eager",
    "ours, graph",
    "other",
    "other, eager",
    "other, graph",
    "× eager",
    "× graph",
    "share",
)


@dataclass(frozen=True)
class Contest:
    """One call of ours and the others' for the same: inputs, what is called, and what it needs at least."""

    name: str
    inputs: tuple[Tensor, ...]
    """Those that record gradients come first."""
    ours: Callable[..., Tensor]
    others: dict[str, Callable[..., Tensor]]
    flop: int
    bytes: int
    backward: bool = False


@dataclass(frozen=True)
class Scale:
    """How large everything is, and where it runs."""

    device: str
    batch: int
    length: int
    heads: int
    width: int
    classes: int
    shapes: int
    """How many random shapes are tried."""


CARD = Scale("cuda", batch=32, length=2048, heads=8, width=1024, classes=50_304, shapes=1000)
REHEARSAL = Scale("cpu", batch=2, length=80, heads=2, width=48, classes=96, shapes=10)


NOTES = (
    "Milliseconds, means of Triton's `do_bench` and `do_bench_cudagraph` in one process; × is the other's time by "
    "ours. *Share* is the larger one of two, for our time in a graph: the call's FLOP at the rate of a bf16 matrix "
    "product of 8192³ measured in the same run, and its least bytes at the rate of a copy of 1 GiB. Goals: "
    "chunk_recurrence against flash-linear-attention, forward and backward in a graph, at least 1.5 at K 32 and 64, "
    "and 1.0 at K 128."
)
SECTIONS: dict[str, Callable[[Scale], str]] = {
    "speed": lambda scale: f"{written([HEAD, *_speed(scale)])}\n\n{NOTES}",
    "binaries": lambda scale: gpu_numbers.binaries(scale),
    "errors": lambda scale: written(gpu_numbers.errors(scale)),
    "safety": lambda scale: written(gpu_numbers.safety(scale)),
}


def main() -> None:
    """Measure and publish, section by section; a rehearsal only prints."""
    parser = argparse.ArgumentParser(prog="tests.bench.gpu_kernels", description=__doc__)
    parser.add_argument("--rehearse", action="store_true", help="small, on a CPU, and nothing is published")
    parser.add_argument("--only", choices=SECTIONS, help="one section, which then is all of the page")
    asked = parser.parse_args(sys.argv[1:])
    scale = REHEARSAL if asked.rehearse else CARD
    if scale.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("No CUDA device was found; wanted one, or --rehearse.")
    torch.manual_seed(0)
    done: list[str] = []
    for name in [asked.only] if asked.only else SECTIONS:
        done.append(f"## {name.capitalize()}\n\n{_section(SECTIONS[name], scale)}")
        if scale.device == "cuda":
            # What has been measured stands, whatever becomes of the next section.
            _publish(done)
    print("\n\n".join(done))
    if any(gpu_numbers.WRONG in section for section in done):
        raise SystemExit("Something is wrong above.")


def _section(section: Callable[[Scale], str], scale: Scale) -> str:
    try:
        return section(scale)
    except Exception as error:  # noqa: BLE001 - an illegal access, say, is a finding
        return f"{gpu_numbers.WRONG}: {type(error).__name__}: {error}"


def _publish(sections: list[str]) -> None:
    card = [("card", "driver", "torch"), (torch.cuda.get_device_name(), _driver(), torch.__version__)]
    ways = ", ".join(f"{name} {count:,}" for name, count in paths.counts().items())
    last = f"Calls by the way they took: {ways}."
    publish("gpu_kernels", "Building blocks on a GPU", card, "\n\n".join([*sections, last]))


def _speed(scale: Scale) -> list[tuple[str, ...]]:
    most, rows = limits(scale), []
    for contest in contests(scale):
        torch._dynamo.reset()
        for row in measured(contest, most):
            print(*row, sep=" | ", file=sys.stderr, flush=True)
            rows.append(row)
    return rows


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]


def contests(scale: Scale) -> list[Contest]:
    """All of them, each forward alone and with its backward."""
    made = []
    for width in (32, 64, 128):
        for rule in ("linear", "head decay", "delta", "head decay, delta"):
            made += _recurrence(scale, width, rule)
    return [*made, *_convolutions(scale), *_scans(scale), *_losses(scale)]


def _recurrence(scale: Scale, width: int, rule: str) -> list[Contest]:
    batch = max(1, scale.batch // 4) if width == 128 else scale.batch
    sizes = (batch, scale.length, scale.heads)
    q, k, v = (_leaf(scale, *sizes, width) for _ in range(3))
    with torch.no_grad():
        q *= width**-0.5
        k.copy_(functional.normalize(k, dim=-1))
    decays, delta = "decay" in rule, "delta" in rule
    g = (-torch.rand(sizes, device=scale.device)).requires_grad_()
    beta = torch.rand(sizes, device=scale.device).requires_grad_()
    gates = (*((g,) if decays else ()), *((beta,) if delta else ()))

    def ours(q: Tensor, k: Tensor, v: Tensor, *gates: Tensor) -> Tensor:
        log_decay, beta = gates[0] if decays else None, gates[-1] if delta else None
        return chunk_recurrence(q, k, v, log_decay=log_decay, beta=beta, delta=delta)

    module, function = {
        "linear": ("linear_attn", "chunk_linear_attn"),
        "head decay": ("simple_gla", "chunk_simple_gla"),
        "delta": ("delta_rule", "chunk_delta_rule"),
        "head decay, delta": ("gated_delta_rule", "chunk_gated_delta_rule"),
    }[rule]
    options = {"scale": 1.0, **({"normalize": False} if rule == "linear" else {})}
    others = _fla(scale, f"ops.{module}", function, lambda call, *x: call(*x, **options)[0])
    shape = cost.Sizes(*sizes, width, width, delta)
    size = 2 * batch * scale.length * scale.heads
    name = f"chunk_recurrence {rule}, {'×'.join(map(str, sizes))}×{width}"
    work = cost.forward(shape), cost.forward(shape) + cost.backward(shape)
    return _both(name, (q, k, v, *gates), ours, others, work, (size * 4 * width, size * 11 * width))


def _convolutions(scale: Scale) -> list[Contest]:
    made = []
    for taps in (4, 64):
        x = _leaf(scale, scale.batch, scale.length, scale.width)
        w = (torch.randn(scale.width, taps, device=scale.device) * taps**-0.5).requires_grad_()

        def ours(x: Tensor, w: Tensor) -> Tensor:
            return causal_conv(x, w, silu=True)

        def plain(x: Tensor, w: Tensor) -> Tensor:
            padded = functional.pad(x.transpose(1, 2), (w.shape[1] - 1, 0))
            return functional.silu(
                functional.conv1d(padded, w.to(x.dtype)[:, None], groups=len(w))
            ).transpose(1, 2)

        others = {"torch.compile": _compiled(scale, plain)}
        others |= _fla(
            scale,
            "modules.causal_conv1d",
            "causal_conv1d",
            lambda call, x, w: call(x, w.to(x.dtype), activation="silu")[0],
        )
        work, size = 2 * taps * x.numel(), 2 * x.numel()
        name = f"causal_conv with SiLU, {scale.batch}×{scale.length}×{scale.width}, {taps} taps"
        made += _both(name, (x, w), ours, others, (work, 4 * work), (2 * size, 9 * size))
    return made


def _scans(scale: Scale) -> list[Contest]:
    x = _leaf(scale, scale.batch, scale.length, scale.width)
    gate = (-torch.rand(x.shape, device=scale.device)).to(x.dtype).requires_grad_()

    def ours(x: Tensor, gate: Tensor) -> Tensor:
        return scan(gate.exp(), x)

    def plain(x: Tensor, gate: Tensor) -> Tensor:
        kept, step = gate.exp(), 1
        while step < x.shape[1]:
            x = x + kept * functional.pad(x, (0, 0, step, 0))[:, : x.shape[1]]
            kept = kept * functional.pad(kept, (0, 0, step, 0))[:, : x.shape[1]]
            step *= 2
        return x

    others = {"torch.compile": _compiled(scale, plain)}
    others |= _fla(scale, "ops.hgrn", "chunk_hgrn", lambda call, x, gate: call(x, gate)[0])
    size, work = 2 * x.numel(), 2 * x.numel()
    name = f"scan, {scale.batch}×{scale.length}×{scale.width}"
    return _both(name, (x, gate), ours, others, (work, 3 * work), (3 * size, 8 * size))


def _losses(scale: Scale) -> list[Contest]:
    rows, width = scale.batch * scale.length // 4, 256
    x, weight = _leaf(scale, rows, width), _leaf(scale, scale.classes, width)
    target = torch.randint(scale.classes, (rows,), device=scale.device)

    def plain(x: Tensor, weight: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy((x @ weight.mT).float(), target)

    others = {"torch.compile": _compiled(scale, plain)}
    others |= _fla(
        scale,
        "modules.fused_linear_cross_entropy",
        "fused_linear_cross_entropy_loss",
        lambda call, x, weight, target: call(x, target, weight),
    )
    work, size = 2 * rows * width * scale.classes, 2 * (x.numel() + weight.numel())
    name = f"fused_linear_cross_entropy, {rows}×{width}, {scale.classes} classes"
    both = _both(
        name, (x, weight, target), fused_linear_cross_entropy, others, (work, 3 * work), (size, 2 * size)
    )
    # Theirs computes gradients in its forward pass, whether or not anybody wants them.
    return both[1:]


def _both(
    name: str,
    inputs: tuple[Tensor, ...],
    ours: Callable[..., Tensor],
    others: dict[str, Callable[..., Tensor]],
    flop: tuple[int, int],
    bytes_: tuple[int, int],
) -> list[Contest]:
    """Forward, and forward with backward."""
    return [
        Contest(
            f"{name}{' +backward' * backward}",
            inputs,
            ours,
            others,
            flop[backward],
            bytes_[backward],
            backward,
        )
        for backward in (False, True)
    ]


def _leaf(scale: Scale, *shape: int) -> Tensor:
    dtype = torch.bfloat16 if scale.device == "cuda" else torch.float32
    return torch.randn(shape, device=scale.device, dtype=dtype).requires_grad_()


def _fla(
    scale: Scale, module: str, function: str, call: Callable[..., Tensor]
) -> dict[str, Callable[..., Tensor]]:
    """Theirs, on a GPU alone."""
    if scale.device != "cuda":
        return {}

    def theirs(*inputs: Tensor) -> Tensor:
        return call(getattr(importlib.import_module(f"fla.{module}"), function), *inputs)

    return {"fla": theirs}


def _compiled(scale: Scale, plain: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Plain PyTorch before a compiler; a rehearsal takes it as it is."""
    return torch.compile(plain, dynamic=False) if scale.device == "cuda" else plain


def measured(contest: Contest, most: tuple[float, float]) -> list[tuple[str, ...]]:
    """A row for each of the others; `most` is what the card does in a second, FLOP and bytes."""
    mine = _times(contest, contest.ours)
    share = max(contest.flop / most[0], contest.bytes / most[1]) / (mine[1] or mine[0] or 1) * 1000
    rows = []
    for name, other in contest.others.items():
        theirs = _times(contest, other)
        ratios = [f"{t / m:.2f}" if t and m else "–" for t, m in zip(theirs, mine, strict=True)]
        rows.append((contest.name, *map(_ms, mine), name, *map(_ms, theirs), *ratios, f"{share:.0%}"))
    return rows or [(contest.name, *map(_ms, mine), "none", "–", "–", "–", "–", f"{share:.0%}")]


def _times(contest: Contest, call: Callable[..., Tensor]) -> tuple[float | None, float | None]:
    """Milliseconds eager and in a CUDA graph; None for what fails, with the reason on stderr."""
    leaves = [x for x in contest.inputs if x.requires_grad]
    grown = None

    def work() -> Any:
        nonlocal grown
        with torch.set_grad_enabled(contest.backward):
            out = call(*contest.inputs)
            if grown is None:
                grown = torch.randn_like(out)
            return torch.autograd.grad(out, leaves, grown) if contest.backward else out

    return _tried(contest.name, lambda: _eager(work)), _tried(contest.name, lambda: _graph(work))


def _tried(name: str, measure: Callable[[], float | None]) -> float | None:
    try:
        return measure()
    except Exception as error:  # noqa: BLE001 - one that fails is a row without a figure, and the rest goes on
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return None


def _eager(work: Callable[[], Any]) -> float:
    work()
    if not torch.cuda.is_available():
        begun = time.perf_counter()
        work()
        return 1000 * (time.perf_counter() - begun)
    return float(importlib.import_module("triton.testing").do_bench(work))


def _graph(work: Callable[[], Any]) -> float | None:
    if not torch.cuda.is_available():
        return None
    work()
    with torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
        return float(importlib.import_module("triton.testing").do_bench_cudagraph(work))


def limits(scale: Scale) -> tuple[float, float]:
    """What the device does in a second: FLOP of a bf16 matrix product, and bytes of a copy, read and written."""
    side, length = (8192, 2**29) if scale.device == "cuda" else (64, 2**12)
    a, b = (torch.randn(side, side, device=scale.device, dtype=torch.bfloat16) for _ in range(2))
    x = torch.empty(length, dtype=torch.bfloat16, device=scale.device)
    y = torch.empty_like(x)
    return 2e3 * side**3 / _eager(lambda: a @ b), 4e3 * length / _eager(lambda: y.copy_(x))


def _ms(time_: float | None) -> str:
    return "–" if time_ is None else f"{time_:.3f}"


if __name__ == "__main__":
    main()
