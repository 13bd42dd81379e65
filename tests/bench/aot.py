"""What compiling every pinned kernel without a GPU takes: configurations, binaries, megabytes and seconds.

Run: python -m tests.bench.aot [sm_80,sm_90]
"""

import os
import sys
import tempfile
from pathlib import Path

from asiarch_kernels import aot, pinned
from asiarch_kernels.report import Report, written
from tests.bench import figures

GOALS = {"seconds": 300, "megabytes": 60}
DEFAULT = "sm_80,sm_90"


def main() -> None:
    """Build, build again, check, and publish."""
    architectures = (sys.argv[1:] or [DEFAULT])[0].split(",")
    wanted = [name for name in pinned.ARCHITECTURES if name in architectures]
    with tempfile.TemporaryDirectory(prefix="asiarch-aot-bench-") as folder:
        scope = aot.Scope(Path(folder) / "tier", aot.chosen(pinned.TABLE, wanted), jobs=os.cpu_count() or 1)
        first, second, check = aot.build(scope), aot.build(scope), aot.verify(scope)
    totals = [first.totals(name) for name in wanted]
    table = [
        ("figure", "measured", "goal"),
        ("architectures", ", ".join(wanted), "sm_80, sm_90"),
        ("configurations", f"{sum(of['configurations'] for of in totals):,}", ""),
        ("— that failed", f"{len(first.failures)}", "0"),
        ("binaries", f"{sum(of['binaries'] for of in totals):,}", ""),
        (
            "size, with descriptions and digests",
            f"{first.tier_bytes / 1e6:.1f} MB",
            f"≤ {GOALS['megabytes']} MB",
        ),
        ("first build, by the clock", f"{first.seconds:.0f} s", f"≤ {GOALS['seconds']} s"),
        ("first build, of processors", f"{first.processor_seconds:.0f} s", ""),
        ("second build: compiled", _compiled(second), "0"),
        ("second build, by the clock", f"{second.seconds:.0f} s", ""),
        (f"check at {len(aot.CHECKED)} sizes: compiled", _compiled(check), "0"),
    ]
    notes = f"In {scope.jobs} processes. By kernel:\n\n```\n{written(first)}```"
    figures.publish("aot", "Kernels compiled ahead of time, without a GPU", table, notes)
    sys.exit(1 if aot.judge(check, verified=True) else 0)


def _compiled(report: Report) -> str:
    return f"{len(report.compiled)}{' and the shim' * report.shim_compiled}"


if __name__ == "__main__":
    main()
