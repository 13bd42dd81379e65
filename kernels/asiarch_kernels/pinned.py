"""The pinned configuration of every kernel: nothing is ever tuned by timing, so that a score doesn't hang on the clock.

A row names the kernel, the head width (0 where it has none), the class of the input's type and the architecture. The
kernel's name begins with its block's folder: `causal_conv.forward`.
"""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import torch

Architecture = Literal["sm_80", "sm_90", "sm_100"]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
Precision = Literal["half", "float"]
"""bfloat16 and float16, or float32."""

_PRECISIONS: dict[torch.dtype, Precision] = {
    torch.bfloat16: "half",
    torch.float16: "half",
    torch.float32: "float",
}


@dataclass(frozen=True, slots=True)
class Pinned:
    """How one kernel is launched: its compile-time constants, warps and stages."""

    warps: int
    stages: int
    constants: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """For what a configuration is pinned."""

    kernel: str
    width: int = 0
    precision: Precision = "half"
    architecture: Architecture = "sm_90"

    @property
    def block(self) -> str:
        """The folder that the kernel is in."""
        return self.kernel.partition(".")[0]

    @property
    def dtypes(self) -> tuple[torch.dtype, ...]:
        """The types that the row holds for."""
        return tuple(dtype for dtype, precision in _PRECISIONS.items() if precision == self.precision)


def find(kernel: str, *, width: int = 0, dtype: torch.dtype) -> Pinned | None:
    """The configuration of a launch on the current device; None where there is none, and the caller falls back."""
    precision, architecture = _PRECISIONS.get(dtype), current_architecture()
    if precision is None or architecture is None:
        return None
    return TABLE.get(Row(kernel, width, precision, architecture))


def current_architecture() -> Architecture | None:
    """That of Triton's current device; sm_90 in Triton's interpreter, and None for a device without rows.

    A device has its own architecture's rows or none: one of the same generation may have less shared memory.
    """
    # A machine without a GPU may well have no Triton, and one that has it doesn't want to wait for its import.
    triton = importlib.import_module("triton")
    if triton.knobs.runtime.interpret:
        return "sm_90"
    target = triton.runtime.driver.active.get_current_target()
    name = f"sm_{target.arch}"
    return name if target.backend == "cuda" and name in ARCHITECTURES else None


def _on(
    kernel: str,
    pinned: Pinned,
    *,
    widths: Iterable[int] = (0,),
    precisions: Iterable[Precision] = ("half", "float"),
    architectures: Iterable[Architecture] = ARCHITECTURES,
) -> dict[Row, Pinned]:
    """One configuration for several widths, types and architectures."""
    return {Row(kernel, w, p, a): pinned for w in widths for p in precisions for a in architectures}


TABLE: dict[Row, Pinned] = {
    # causal_conv
    **_on("causal_conv.filter", Pinned(4, 2, (("BLOCK_T", 32), ("BLOCK_D", 64)))),
    **_on("causal_conv.spread", Pinned(4, 2, (("BLOCK_T", 32), ("BLOCK_D", 64)))),
    **_on("causal_conv.taps", Pinned(4, 2, (("BLOCK_T", 32), ("BLOCK_D", 64), ("PARTS", 64)))),
    # chunk_recurrence
    # Below four warps Hopper has no wgmma, whose transposed operands and products were miscompiled more than once; the
    # gradients' kernel transposes products. In float32, tiles are small since each product takes three.
    **_on("chunk_recurrence.forward", Pinned(4, 2, (("C", 64), ("BV", 64))), widths=(16, 32, 64, 128)),
    **_on("chunk_recurrence.forward", Pinned(4, 2, (("C", 64), ("BV", 32))), widths=(128,)),
    **_on("chunk_recurrence.keep", Pinned(2, 2, (("C", 32), ("BV", 32))), widths=(16, 32, 64, 128)),
    **_on("chunk_recurrence.reverse", Pinned(2, 2, (("C", 32), ("BV", 32))), widths=(16, 32, 64, 128)),
    **_on("chunk_recurrence.reverse", Pinned(2, 2, (("C", 32), ("BV", 16))), widths=(128,)),
    **_on(
        "chunk_recurrence.gradient",
        Pinned(2, 1, (("C", 32), ("BK", 32), ("BV", 32))),
        widths=(16, 32, 64, 128),
    ),
    **{
        row: pin
        for name in ("forward", "keep", "reverse")
        for row, pin in _on(
            f"chunk_recurrence.{name}",
            Pinned(2, 1, (("C", 16), ("BV", 16))),
            widths=(16, 32, 64, 128),
            precisions=("float",),
        ).items()
    },
    **_on(
        "chunk_recurrence.gradient",
        Pinned(2, 1, (("C", 16), ("BK", 32), ("BV", 16))),
        widths=(16, 32, 64, 128),
        precisions=("float",),
    ),
    # scan
    **_on("scan.summary", Pinned(1, 1, (("CHUNK", 64), ("BLOCK_D", 64)))),
    **_on("scan.carry", Pinned(1, 1, (("BLOCK_D", 64),))),
    **_on("scan.run", Pinned(1, 1, (("CHUNK", 64), ("BLOCK_D", 64)))),
}
"""Every configuration there is; `aot` compiles all of it, and a launch that finds no row falls back.

A later line of the table has the last word about a row, so an exception stands below its rule.
"""
