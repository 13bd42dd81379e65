"""The benchmark for GPUs, rehearsed: what can break of it without one."""

import subprocess
import sys

import pytest

from tests.bench.figures import DOCS


@pytest.mark.slow
def test_the_benchmark_runs_small_on_a_cpu_and_publishes_nothing() -> None:
    before = (DOCS / "gpu_kernels.md").read_text()
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.gpu_kernels", "--rehearse"],
        capture_output=True,
        text=True,
        check=False,
        cwd=DOCS.parents[1],
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| chunk_recurrence | float32 | 10 | 0.0e+00 | 0.005 | 0 |  |" in done.stdout
    assert "Error:" not in done.stdout + done.stderr
    assert (DOCS / "gpu_kernels.md").read_text() == before
