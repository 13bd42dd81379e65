"""How a mixer's work grows with the length of its input: a count of what its operators do.

An operator with a formula counts its floating-point operations; any other counts the elements that it touches.
An operator that may do more work than it touches elements, and has no formula, is *uncovered*: the referee then
goes by its clock instead. torch's own counter has no formula for scaled-dot-product attention on a CPU and reads
softmax attention as linear; ours has one.

Shapes: B batch, T time, C width.
"""

import math
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from asiarch_trainer.player.candidate import FILE
from asiarch_trainer.player.formulas import FORMULAS, TOUCHING, elements
from asiarch_trainer.player.model import mix

_NOTABLE_SHARE = 0.02


@dataclass(frozen=True)
class Work:
    """What one forward pass did, by operator and line of the candidate."""

    by_place: Mapping[str, float]
    uncovered: frozenset[str]

    @property
    def total(self) -> float:
        return sum(self.by_place.values())


@dataclass(frozen=True)
class Growth:
    """How work grows from one length to another; *worst* is the notable place that grows fastest."""

    exponent: float
    worst_exponent: float
    worst_share: float
    worst_place: str
    uncovered: frozenset[str]
    work_per_token: float


def growth(mixer: nn.Module, width: int, short: int, long: int) -> Growth:
    """Compare the work at two lengths; an exponent of 1 is linear, 2 quadratic."""
    few, many = (measure(mixer, torch.zeros(1, length, width)) for length in (short, long))
    span, total = math.log(long / short), max(many.total, 1.0)
    exponents = {
        place: math.log(work / few.by_place[place]) / span if few.by_place.get(place) else 1.0
        for place, work in many.by_place.items()
        if work
    }
    notable = [place for place in exponents if many.by_place[place] >= _NOTABLE_SHARE * total]
    worst = max(notable, key=lambda place: exponents[place], default="nothing")
    return Growth(
        exponent=math.log(total / max(few.total, 1.0)) / span,
        worst_exponent=exponents.get(worst, 1.0),
        worst_share=many.by_place.get(worst, 0.0) / total,
        worst_place=worst,
        uncovered=few.uncovered | many.uncovered,
        work_per_token=many.total / long,
    )


def measure(mixer: nn.Module, x_BTC: Tensor) -> Work:
    """Count the work of one forward pass of a mixer."""
    with torch.no_grad(), _Counting() as counting:
        mix(mixer, x_BTC)
    return Work(dict(counting.work), frozenset(counting.uncovered))


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator with its real arguments and adds up its work."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.work: dict[str, float] = defaultdict(float)
        self.uncovered: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, _types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            name = func.name().split("::")[-1].split(".")[0]
            line = _line(sys._getframe(1))  # noqa: SLF001 - the only way to the caller's line at this price
            self.work[f"{name} at line {line}"] += self._cost(func, name, (args, kwargs or {}), result)
        return result

    def _cost(
        self, func: Any, name: str, given: tuple[Sequence[Any], Mapping[str, Any]], result: Any
    ) -> float:
        args, kwargs = given
        if name in FORMULAS:
            return FORMULAS[name](args, result)
        if func.overloadpacket in flop_registry:
            operations: int = flop_registry[func.overloadpacket](*args, **kwargs, out_val=result)
            return float(operations)
        if torch.Tag.pointwise not in func.tags and name not in TOUCHING:
            self.uncovered.add(name)
        return float(max(elements(given), elements(result)))


def _line(frame: FrameType | None) -> int:
    """Find the line of the candidate that is being run."""
    while frame is not None and frame.f_code.co_filename != FILE:
        frame = frame.f_back
    return frame.f_lineno if frame is not None else 0
