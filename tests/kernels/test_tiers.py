"""The two tiers of the cache, by their files alone: what is served from where, and what is never served."""

import json
from pathlib import Path

import pytest

from asiarch_kernels import cache

KEY = "A" * 52
CUBIN, ABOUT = "kernel.cubin", "kernel.json"


@pytest.fixture
def tiers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A read-only tier that holds one kernel, and a writable one that holds nothing."""
    made, tier, writable = tmp_path / "made", tmp_path / "tier", tmp_path / "writable"
    (made / KEY).mkdir(parents=True)
    for name in (CUBIN, ABOUT, "kernel.ptx", f"__grp__{ABOUT}"):
        (made / KEY / name).write_text(name)
    cache.bake(made, tier)
    monkeypatch.setenv(cache.VARIABLE, str(tier))
    monkeypatch.setenv("TRITON_CACHE_DIR", str(writable))
    return tier, writable


def test_a_kernel_is_served_from_the_image_with_its_paths_there(tiers: tuple[Path, Path]) -> None:
    tier, writable = tiers
    group = cache.TwoTierCache(KEY).get_group(ABOUT)
    assert group == {name: str(tier / KEY / name) for name in (CUBIN, ABOUT)}
    assert not writable.exists()


@pytest.mark.parametrize("name", [CUBIN, ABOUT, cache.DIGESTS])
def test_a_kernel_with_a_file_missing_is_not_served(tiers: tuple[Path, Path], name: str) -> None:
    (tiers[0] / KEY / name).unlink()
    assert cache.TwoTierCache(KEY).get_group(ABOUT) is None


@pytest.mark.parametrize("name", [CUBIN, ABOUT, cache.DIGESTS])
def test_a_kernel_with_a_file_spoilt_is_not_served(tiers: tuple[Path, Path], name: str) -> None:
    (tiers[0] / KEY / name).write_bytes(b"\xff\x00")
    assert cache.TwoTierCache(KEY).get_group(ABOUT) is None


@pytest.mark.parametrize("digests", ["[]", "3", '{"kernel.json": 3}', '{"../../made": ""}', "{}"])
def test_digests_that_are_no_digests_serve_nothing(tiers: tuple[Path, Path], digests: str) -> None:
    (tiers[0] / KEY / cache.DIGESTS).write_text(digests)
    assert cache.TwoTierCache(KEY).get_group(ABOUT) is None


def test_without_a_tier_everything_is_written_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    before = cache.counts()
    cold = cache.TwoTierCache(KEY)
    assert cold.get_group(ABOUT) is None
    cold.put_group(ABOUT, {name: cold.put(name.encode(), name) for name in (CUBIN, ABOUT)})
    assert cache.TwoTierCache(KEY).get_group(ABOUT) == {
        name: str(tmp_path / KEY / name) for name in (CUBIN, ABOUT)
    }
    after = cache.counts()
    assert {where: after[where] - before[where] for where in after} == {
        "image": 0,
        "written": 1,
        "missing": 1,
    }


def test_a_single_file_is_served_as_well(tiers: tuple[Path, Path]) -> None:
    assert cache.TwoTierCache(KEY).get_file(CUBIN) == str(tiers[0] / KEY / CUBIN)
    assert cache.TwoTierCache(KEY).get_file("kernel.ptx") is None


def test_a_miss_with_nowhere_to_write_says_what_to_do(
    tiers: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", "/proc/no/such/folder")
    other = cache.TwoTierCache("B" * 52)
    assert other.get_group(ABOUT) is None
    with pytest.raises(OSError, match="/proc/no") as raised:
        other.put(b"", CUBIN)
    assert "TRITON_CACHE_DIR" in raised.value.__notes__[0]


def test_what_was_baked_before_is_replaced_as_a_whole(tiers: tuple[Path, Path], tmp_path: Path) -> None:
    made = tmp_path / "anew"
    (made / KEY).mkdir(parents=True)
    (made / KEY / CUBIN).write_text("another")
    cache.bake(made, tiers[0])
    assert sorted(path.name for path in (tiers[0] / KEY).iterdir()) == [CUBIN, cache.DIGESTS]
    assert json.loads((tiers[0] / KEY / cache.DIGESTS).read_text()) == {
        CUBIN: cache.digest(tiers[0] / KEY / CUBIN)
    }
    assert [path.name for path in tiers[0].iterdir()] == [KEY]
