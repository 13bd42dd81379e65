"""Runs programs in which kernels are compiled and not interpreted, whatever other tests ask of their own process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from asiarch_kernels.cache import VARIABLE

ROOT = Path(__file__).resolve().parents[2]


def launch(user: int, *scenes: dict[str, object]) -> list[dict[str, Any]]:
    """Play scenes with the small kernels, as a pod would."""
    told: list[dict[str, Any]] = json.loads(
        run("tests.kernels.small.pod", "launch", str(user), given=json.dumps(scenes))
    )
    return told


def build(command: str, tier: Path, *rows: str) -> dict[str, Any]:
    """Build or check the small kernels; what the report says."""
    told: dict[str, Any] = json.loads(run("tests.kernels.small.pod", command, str(tier), *rows))
    return told


def run(module: str, *arguments: str, given: str = "", tier: Path | None = None) -> str:
    """Run a module as a program, on one thread; what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRITON_")}
    environment |= {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)]),
        "TRITON_CACHE_MANAGER": "asiarch_kernels.cache:TwoTierCache",
        "OMP_NUM_THREADS": "1",
    }
    if tier:
        environment |= {VARIABLE: str(tier), "TRITON_CACHE_DIR": str(tier.parent / "written")}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT, env=environment, input=given, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout
