"""The definitions and what they let through: deleted and made again (F14); a field that is nested without end."""

import json
import time
from pathlib import Path

from tests.cluster import checker, processes
from tests.cluster.manifests import RECALL, a_short_search
from tests.cluster.plane import CRDS, ControlPlane
from tests.cluster.ports import Ports
from tests.cluster.rig import API, Rig, grant
from tests.cluster.shared import candidates_of, objects, settled, shared_rig

DEPTH = 5000
"""Levels: fewer than the 10,000 that the API server takes, and more than Python reads unless it is told to."""


def test_F14_definitions_that_are_deleted_and_come_back_are_served_again(tmp_path: Path) -> None:
    with ControlPlane() as plane:
        plane.install()
        folder = tmp_path / "definitions"
        folder.mkdir()
        with shared_rig(plane, folder) as cast:
            cast.apply(a_short_search("before", candidates=9))
            plane.wait_for(lambda: len(candidates_of(cast, "before")) > 1, "a proposal", 60)
            plane.kubectl("delete", "--timeout=60s", "-f", str(CRDS))
            time.sleep(3)
            plane.install()
            cast.apply(a_short_search("after"))
            plane.wait_for(lambda: served(cast, "after"), "after to be Complete", 120)
            settled(cast, "after")
            assert checker.check_all(cast.evidence("after"), cast.users) == []
            selected = "asiarch.dev/search=before"
            plane.wait_for(lambda: objects(cast, "jobs", selected) == [], "the Jobs of before to go", 60)


def served(cast: Rig, name: str) -> bool:
    """Whether a search is over; an operator that has ended is started again, as its Deployment does."""
    if not cast.operator.running:
        cast.start_operator()
    return bool(cast.search(name).get("status", {}).get("phase") == "Complete")


def test_a_pod_template_that_is_nested_without_end_is_refused_and_harms_nobody(
    plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    grant(plane, namespace)
    evaluation = {"ladder": [RECALL], "podTemplate": {"spec": {"affinity": "DEEP"}}}
    deep = json.dumps(a_short_search("deep", evaluation=evaluation))
    body = deep.replace('"DEEP"', '{"a":' * DEPTH + "1" + "}" * DEPTH)
    where = f"{API}/namespaces/{namespace}/architecturesearches"
    plane.kubectl("create", "--raw", where, "-f", "-", stdin=body)
    plane.request("POST", where, a_short_search("shallow"))
    kubeconfig = plane.kubeconfig(tmp_path / "kubeconfig", plane.token(namespace, "asiarch-operator"))
    ports = Ports()
    words = (
        "--namespace",
        namespace,
        "--gateway-url",
        "http://nowhere",
        "--agent-image",
        "a",
        "--trainer-image",
        "t",
    )
    with processes.operator(kubeconfig, ports.take(), tmp_path / "operator.log", *words) as operator:
        operator.await_ready(operator.ready, 30)
        said = ("-n", namespace, "get", "asearch", "deep", "-o", "jsonpath={.status.message}")
        plane.wait_for(lambda: "more than" in plane.kubectl(*said), "a word about it", 30)
        assert "spec.evaluation.podTemplate.spec" in plane.kubectl(*said)
        plane.wait_for(lambda: "status" in plane.get(f"{where}/shallow"), "the other search", 30)
        time.sleep(3)
        assert operator.running
        assert "Traceback" not in operator.log.read_text()
    ports.close()
