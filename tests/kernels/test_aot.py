"""Kernels compiled ahead of time without a GPU: what the build leaves behind, and that a pod then compiles nothing."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asiarch_kernels import cache
from tests.kernels.processes import build, launch

NOBODY = 65_534
BOTH = ("gated.forward,sm_80", "gated.forward,sm_90")
BINARIES = 6
"""On one architecture: two types, with a bias and without, and a second kernel for each type."""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that every user can reach, as a pod's root is."""
    folder = Path(tempfile.mkdtemp(prefix="asiarch-aot-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def built(place: Path) -> tuple[Path, dict[str, Any]]:
    """The tier of the small table for two architectures, and the report of its build."""
    return place / "tier", build("build", place / "tier", *BOTH)


@pytest.mark.slow
def test_the_build_compiles_every_specialisation_without_a_gpu(built: tuple[Path, dict[str, Any]]) -> None:
    _, report = built
    for architecture in ("sm_80", "sm_90"):
        its = report["architectures"][architecture]
        assert (its["configurations"], its["binaries"], its["compiled"], its["failed"]) == (
            1,
            BINARIES,
            BINARIES,
            0,
        )
        assert its["seconds"] > 0
    assert report["wrong"] == []


def test_the_tier_holds_binaries_descriptions_digests_and_the_shim_and_no_more(
    built: tuple[Path, dict[str, Any]],
) -> None:
    tier, _ = built
    suffixes = [path.suffix for path in tier.rglob("*") if path.is_file() and path.name != cache.DIGESTS]
    assert {suffix: suffixes.count(suffix) for suffix in set(suffixes)} == {
        ".cubin": 2 * BINARIES,
        ".json": 2 * BINARIES + 1,  # the report
        ".so": 1,
        ".1": 1,  # the stand-in for libcuda.so.1
    }


def test_the_reports_bytes_are_those_on_the_disk(built: tuple[Path, dict[str, Any]]) -> None:
    tier, report = built
    binaries = sum(path.stat().st_size for path in tier.rglob("*.cubin"))
    assert sum(its["bytes"] for its in report["architectures"].values()) == binaries
    assert sum(line["bytes"] for line in report["kernels"]) == binaries
    everything = sum(path.stat().st_size for path in tier.rglob("*") if path.is_file())
    assert report["bytes"] == everything - (tier / "report.json").stat().st_size


@pytest.mark.slow
def test_a_second_build_and_a_check_compile_nothing(built: tuple[Path, dict[str, Any]]) -> None:
    tier, first = built
    for again in (build("build", tier, *BOTH), build("verify", tier, *BOTH)):
        assert [its["compiled"] for its in again["architectures"].values()] == [0, 0]
        assert [its["binaries"] for its in again["architectures"].values()] == [BINARIES, BINARIES]
        assert again["bytes"] == first["bytes"]
        assert (first["shim_compiled"], again["shim_compiled"]) == (True, False)
        assert again["wrong"] == []


@pytest.mark.slow
def test_only_on_sm_100_may_a_configuration_fail_and_the_report_says_so(place: Path) -> None:
    rows = ("gated.broken,sm_90", "gated.broken,sm_100", "gated.forgotten,sm_90")
    report = build("build", place / "failing", *rows)
    failed = [(failure["row"]["kernel"], failure["row"]["architecture"]) for failure in report["failures"]]
    assert sorted(failed) == [
        ("gated.broken", "sm_100"),
        ("gated.broken", "sm_90"),
        ("gated.forgotten", "sm_90"),
    ]
    assert len(report["wrong"]) == 2
    assert all("sm_100" not in sentence for sentence in report["wrong"])
    assert any("broken on purpose" in sentence for sentence in report["wrong"])
    assert any("no launch" in sentence for sentence in report["wrong"])


def test_a_tier_that_was_moved_and_is_read_only_serves_another_user_at_every_length(
    built: tuple[Path, dict[str, Any]], place: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")
    moved = place / "moved" / "elsewhere"
    shutil.copytree(built[0], moved)
    for path in moved.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    lengths = [1, 15, 16, 64, 65, 2047, 2048]
    scenes = [
        scene(moved, Path("/proc/no/such/folder"), architecture, lengths)
        for architecture in ("sm_80", "sm_90")
    ]
    for told in launch(NOBODY, *scenes):
        assert told["user"] == NOBODY
        assert told["launches"] == len(lengths) * 8
        assert told["kernels"]["hits"] == BINARIES
        assert told["kernels"]["misses"] == 0
        assert told["cache"] == {"image": BINARIES, "written": 0, "missing": 0}
        assert told["restored"]


@pytest.mark.slow
def test_what_the_tier_lacks_goes_to_the_writable_one_and_is_counted(
    built: tuple[Path, dict[str, Any]], place: Path
) -> None:
    """A tier without one binary, one with a binary spoilt, one that isn't there, and one whose folder is a file."""
    tier, writable = place / "worn", place / "writable"
    shutil.copytree(built[0], tier)
    wide, narrow, *_ = sorted(tier.glob("*/forward_kernel.cubin"))
    wide.unlink()
    narrow.write_bytes(narrow.read_bytes()[:1_000])
    (place / "file").write_text("not a folder")
    worn = [scene(tier, writable, name, [64]) for name in ("sm_80", "sm_90")]
    gone = [
        scene(place / "gone", place / "w1", "sm_90", [64]),
        scene(place / "file", place / "w2", "sm_90", [64]),
    ]
    *first, absent, file = launch(os.geteuid(), *worn, *gone)
    again = launch(os.geteuid(), *worn)
    assert sum(told["kernels"]["misses"] for told in first) == 2
    assert sum(told["cache"]["missing"] for told in first) == 2
    assert sum(told["cache"]["image"] for told in first) == 2 * BINARIES - 2
    assert sum(told["cache"]["written"] for told in again) == 2
    assert sum(told["kernels"]["misses"] for told in again) == 0
    for told in (absent, file):
        assert told["kernels"]["misses"] == told["cache"]["missing"] == BINARIES
        assert sum(told["kernels"]["missed"].values()) == BINARIES


def scene(tier: Path, writable: Path, architecture: str, lengths: list[int]) -> dict[str, object]:
    """What a pod would be told by its environment."""
    return {"tier": str(tier), "writable": str(writable), "architecture": architecture, "lengths": lengths}
