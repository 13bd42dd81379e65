"""The table of pinned kernels: it compiles without a GPU, once, and then no launch compiles anything.

The whole of it takes minutes, as `make test-table`; a part stands for it among the other tests.
"""

import json
from pathlib import Path

import pytest

from asiarch_kernels import pinned
from tests.kernels.processes import run

ARCHITECTURES = ("sm_80", "sm_90")
MEGABYTES = 60


@pytest.fixture(scope="module")
def tier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tier, built."""
    folder = tmp_path_factory.mktemp("kernels")
    aot(folder)
    return folder


@pytest.mark.slow
@pytest.mark.long
def test_a_part_with_each_kernel_is_built_and_leaves_nothing_to_compile(tmp_path: Path) -> None:
    told = json.loads(run("tests.kernels.part", str(tmp_path / "tier"), tier=tmp_path / "tier"))
    assert told == {"kernels": len({row.kernel for row in pinned.TABLE}), "wrong": []}


@pytest.mark.table
def test_the_whole_table_is_built_within_its_size(tier: Path) -> None:
    report = json.loads((tier / "report.json").read_text())
    for architecture in ARCHITECTURES:
        rows = sum(row.architecture == architecture for row in pinned.TABLE)
        assert report["architectures"][architecture]["configurations"] == rows
        assert report["architectures"][architecture]["failed"] == 0
    assert report["bytes"] <= MEGABYTES * 1e6


@pytest.mark.table
def test_nothing_is_left_to_compile_at_any_size(tier: Path) -> None:
    told = aot(tier, "--verify", "--jobs", "2")
    assert [line.split()[4] for line in told.splitlines() if line.startswith("all ")] == ["0", "0"]


@pytest.mark.table
def test_no_call_of_a_block_compiles_anything(tier: Path) -> None:
    for told in json.loads(run("tests.kernels.calls", *ARCHITECTURES, tier=tier)).values():
        assert told["missed"] == []
        assert told["launches"] > 1_000


def aot(folder: Path, *flags: str) -> str:
    """The command as an image's build runs it; it fails where something is wrong."""
    return run(
        "asiarch_kernels.aot", "--out", str(folder), "--architectures", ",".join(ARCHITECTURES), *flags
    )
