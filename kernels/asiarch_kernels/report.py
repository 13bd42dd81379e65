"""What a build of all kernels came to: configurations, binaries, megabytes and seconds, as JSON and as a table."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
import triton
from triton import knobs

from asiarch_kernels.compiles import Loaded
from asiarch_kernels.pinned import Row

DRIVER = "580.65.06"
"""The oldest driver of CUDA 13.0, which this build of torch asks for; it takes the kernels' binaries as well."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that has no binary, or not all of its binaries."""

    row: Row
    why: str


@dataclass(frozen=True, slots=True)
class Line:
    """One kernel on one architecture."""

    kernel: str
    architecture: str
    binaries: int
    bytes: int
    compiled: int
    seconds: float
    """That compiling took by the clock; none for what was there already."""
    shared: int
    """The most shared memory that one of them asks for, in bytes."""


@dataclass(frozen=True, slots=True)
class Report:
    """A build, or a check."""

    rows: tuple[Row, ...]
    loaded: tuple[Loaded, ...]
    failures: tuple[Failure, ...] = ()
    seconds: float = 0.0
    """By the clock."""
    processor_seconds: float = 0.0
    shim_compiled: bool = False
    tier_bytes: int = 0

    @property
    def compiled(self) -> tuple[Loaded, ...]:
        """What was compiled; one that was also found later counts as compiled."""
        return tuple({one.key: one for one in self.loaded if one.compiled}.values())

    @property
    def lines(self) -> tuple[Line, ...]:
        """Each kernel on each architecture."""
        return tuple(self._lines())

    def _lines(self) -> Iterator[Line]:
        binaries = {one.key: one for one in sorted(self.loaded, key=lambda one: one.compiled)}
        for kernel, architecture in sorted({(one.kernel, one.architecture) for one in binaries.values()}):
            its = [
                one for one in binaries.values() if (one.kernel, one.architecture) == (kernel, architecture)
            ]
            yield Line(
                kernel,
                architecture,
                binaries=len(its),
                bytes=sum(one.bytes for one in its),
                compiled=sum(one.compiled for one in its),
                seconds=round(sum(one.seconds for one in its if one.compiled), 3),
                shared=max(one.shared for one in its),
            )

    def totals(self, architecture: str) -> Mapping[str, int | float]:
        """Of one architecture."""
        lines = [line for line in self.lines if line.architecture == architecture]
        return {
            "configurations": sum(row.architecture == architecture for row in self.rows),
            "failed": len(
                {failure.row for failure in self.failures if failure.row.architecture == architecture}
            ),
            "binaries": sum(line.binaries for line in lines),
            "compiled": sum(line.compiled for line in lines),
            "bytes": sum(line.bytes for line in lines),
            "seconds": round(sum(line.seconds for line in lines), 3),
        }

    def to_json(self) -> str:
        """Everything, for programs."""
        architectures = sorted({row.architecture for row in self.rows})
        told: dict[str, Any] = {
            "versions": {
                "torch": torch.__version__,
                "triton": triton.__version__,
                "ptxas": knobs.nvidia.ptxas.version,
                "ptxas of sm_100": knobs.nvidia.ptxas_blackwell.version,
                "oldest driver": DRIVER,
            },
            "seconds": round(self.seconds, 3),
            "processor_seconds": round(self.processor_seconds, 3),
            "bytes": self.tier_bytes,
            "shim_compiled": self.shim_compiled,
            "architectures": {name: self.totals(name) for name in architectures},
            "kernels": [asdict(line) for line in self.lines],
            "failures": [asdict(failure) for failure in self.failures],
        }
        return json.dumps(told, indent=1) + "\n"


def written(report: Report) -> str:
    """Everything, for people."""
    longest = max((len(line.kernel) for line in report.lines), default=0)
    form = f"{{:<{longest}}}" + " {:>6} {:>14} {:>8} {:>8} {:>8} {:>8} {:>9}"
    lines = [
        form.format("kernel", "for", "configurations", "binaries", "compiled", "MB", "seconds", "shared kB")
    ]
    for line in report.lines:
        megabytes, seconds, shared = (
            f"{line.bytes / 1e6:.2f}",
            f"{line.seconds:.1f}",
            f"{line.shared / 1024:.0f}",
        )
        count, compiled = line.binaries, line.compiled
        lines.append(
            form.format(line.kernel, line.architecture, "", count, compiled, megabytes, seconds, shared)
        )
    for architecture in sorted({row.architecture for row in report.rows}):
        of = report.totals(architecture)
        megabytes, seconds = f"{of['bytes'] / 1e6:.2f}", f"{of['seconds']:.1f}"
        counts = (of["configurations"], of["binaries"], of["compiled"])
        lines.append(form.format("all", architecture, *counts, megabytes, seconds, ""))
    lines += [f"failed: {failure.row}: {failure.why.splitlines()[0]}" for failure in report.failures]
    shim = "compiled" if report.shim_compiled else "found"
    size = f"{report.tier_bytes / 1e6:.2f} MB with descriptions and digests"
    took = f"{report.seconds:.1f} s by the clock, {report.processor_seconds:.1f} s of processors"
    lines.append(f"{took}; {size}; shim {shim}; driver {DRIVER} or newer")
    return "\n".join(lines) + "\n"
