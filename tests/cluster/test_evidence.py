"""The checker's sources on a real control plane: history, audit log, discovery, and all of it through the proxy."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.checker import Files, gather
from tests.cluster.checks.evidence import Object
from tests.cluster.checks.history import History
from tests.cluster.checks.leftovers import Reader, nothing_left
from tests.cluster.checks.lineage import nothing_lost
from tests.cluster.checks.traces import tally
from tests.cluster.faults.client import FaultProxy, fault_proxy
from tests.cluster.faults.settings import Faults, Stale
from tests.cluster.plane import ADMIN, ControlPlane
from tests.cluster.ports import Ports


@pytest.fixture
def token(plane: ControlPlane) -> str:
    return str(yaml.safe_load(plane.admin.read_text())["users"][0]["user"]["token"])


@pytest.fixture
def proxy(plane: ControlPlane, token: str, tmp_path: Path) -> Iterator[FaultProxy]:
    taken = Ports()
    with fault_proxy(plane.url, (taken.take(), taken.take()), tmp_path, token) as running:
        yield running
    taken.close()


def a_candidate(namespace: str, ordinal: int) -> Object:
    return {
        "apiVersion": "asiarch.dev/v1alpha1",
        "kind": "Candidate",
        "metadata": {"name": f"s-{ordinal:04d}", "namespace": namespace},
        "spec": {"searchName": "s", "origin": "User", "idea": "Forget slowly."},
    }


def apply(plane: ControlPlane, proxy: FaultProxy, folder: Path, *objects: Any) -> None:
    """Use kubectl through the proxy, as an operator would go."""
    kubeconfig = plane.kubeconfig(folder / "proxied", "spare", server=proxy.server)
    plane.kubectl(
        "create",
        "-f",
        "-",
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        kubeconfig=kubeconfig,
    )


def test_every_version_and_every_create_is_in_evidence(
    plane: ControlPlane, namespace: str, token: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    before = plane.audit_log.stat().st_size
    files = Files(tmp_path / "ledger", plane.audit_log, tmp_path / "history.jsonl", before)
    with History(plane.url, token, namespace, files.history):
        apply(plane, proxy, tmp_path, a_candidate(namespace, 0), a_candidate(namespace, 1))
        done = json.dumps({"status": {"ordinal": 0, "phase": "Complete"}})
        for name in ("s-0000", "s-0001"):
            plane.kubectl(
                "patch",
                "cand",
                name,
                "-n",
                namespace,
                "--subresource=status",
                "--type=merge",
                f"--patch={done}",
            )
        plane.kubectl("delete", "cand", "s-0001", "-n", namespace)
    evidence = gather(Reader(plane.url, token), namespace, "s", files)
    seen = [(r["type"], r["object"]["metadata"]["name"]) for r in evidence.of_kind("Candidate")]
    assert seen == [
        ("ADDED", "s-0000"),
        ("ADDED", "s-0001"),
        ("MODIFIED", "s-0000"),
        ("MODIFIED", "s-0001"),
        ("DELETED", "s-0001"),
    ]
    assert tally(evidence.audit, [ADMIN])["create candidates"] == 2
    assert "I1 s-0001 existed and is in no lineage" in nothing_lost(evidence)
    assert [row["told"] for row in proxy.rows("write")] == [201, 201]


def test_leftovers_of_any_kind_are_found(plane: ControlPlane, namespace: str, token: str) -> None:
    reader = Reader(plane.url, token)
    assert nothing_left(list(reader.everything(namespace)), []) == []
    labels = {"app.kubernetes.io/managed-by": "asiarch"}
    body = {"metadata": {"name": "left", "labels": labels}}
    plane.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", body)
    told = nothing_left(list(reader.everything(namespace)), [])
    assert told == ["I7 ConfigMap left is left, with our labels"]


def test_a_real_list_is_answered_from_an_earlier_moment(
    plane: ControlPlane, namespace: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    kubeconfig = plane.kubeconfig(tmp_path / "proxied", "spare", server=proxy.server)

    def listed() -> int:
        return plane.kubectl("get", "cand", "-n", namespace, "-o", "name", kubeconfig=kubeconfig).count("/")

    proxy.record()
    assert listed() == 0
    plane.wait_for(lambda: bool(proxy.state()["recorded"]), "the collection to be followed")
    apply(plane, proxy, tmp_path, *(a_candidate(namespace, ordinal) for ordinal in range(3)))
    plane.wait_for(lambda: 3 in proxy.state()["recorded"].values(), "three changes")
    proxy.faults(Faults(stale=(Stale(resource="candidates", back=2),)))
    assert (listed(), listed()) == (1, 3)
