"""Where the programs of a cluster come from, in which order, and what is said when there is none."""

import lzma
from pathlib import Path

import pytest

from tests.cluster import binaries

SCRIPT = b"#!/bin/sh\necho found\n"


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, no Go, and nothing remembered."""
    monkeypatch.setattr(binaries, "_FOUND", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("KUBEBUILDER_ASSETS", "ASIARCH_CLUSTER_ARCHIVES"):
        monkeypatch.delenv(name, raising=False)


def archived(folder: Path, program: str) -> None:
    bundle = next(b for b in binaries.BUNDLES if program in b.programs)
    (folder / f"{bundle.file}.xz").write_bytes(lzma.compress(SCRIPT))


def test_the_assets_of_kubebuilder_come_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    (tmp_path / "etcd").write_bytes(SCRIPT)
    (tmp_path / "etcd").chmod(0o755)
    assert binaries.find("etcd") == tmp_path / "etcd"


def test_an_archive_is_unpacked_into_the_cache_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASIARCH_CLUSTER_ARCHIVES", str(tmp_path))
    archived(tmp_path, "kubectl")
    found = binaries.find("kubectl")
    assert (found.name, found.read_bytes()) == ("kubectl", SCRIPT)
    assert binaries.find("kube-apiserver").resolve() == found.resolve()


def test_what_cannot_be_had_is_named_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert binaries.main(["helm"]) == 1
    said = capsys.readouterr().err
    assert "helm: not in $KUBEBUILDER_ASSETS" in said
    assert "Install Go" in said
