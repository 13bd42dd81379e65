"""Builds a part of the pinned table and checks that nothing of it is left to compile; tells on stdout what was wrong.

    python -m tests.kernels.part TIER

The part is sm_90 in half types, at widths of 32 and where no width is named: each of our kernels once or more.
"""

import json
import sys
from pathlib import Path

from asiarch_kernels import aot, pinned

ROWS = tuple(
    row
    for row in pinned.TABLE
    if row.architecture == "sm_90" and row.precision == "half" and row.width in {0, 32}
)


def main(tier: Path) -> None:
    """Do both."""
    scope = aot.Scope(tier, ROWS)
    built, checked = aot.build(scope), aot.verify(scope)
    wrong = [*aot.judge(built, verified=False), *aot.judge(checked, verified=True)]
    sys.stdout.write(json.dumps({"kernels": len({row.kernel for row in ROWS}), "wrong": wrong}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
