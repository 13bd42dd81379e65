"""A whole search with our images on a real kubelet, installed by the chart, under pod security *restricted*.

With `ASIARCH_PUBLISH=node` in the environment the run's figures are written to docs/benchmarks/.
"""

import json
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from tests.bench.figures import DOCS, machine
from tests.cluster.manifests import a_search
from tests.cluster.node.machine import HOST
from tests.cluster.node.node import Node
from tests.cluster.node.pods import reached
from tests.cluster.plane import ControlPlane
from tests.helm import chart

SEARCH, CANDIDATES, BASELINES = "node", 8, 2
API = "/apis/asiarch.dev/v1alpha1"
PART = "asiarch.dev/part"
SECONDS = 1_500.0
OWN_UID, FIRST_PLAYER_UID = 65532, 100_000
ENDED = {"Complete", "Failed", "Rejected"}

Object = dict[str, Any]


@dataclass
class Run:
    """What a search left behind, and every pod that was seen while it ran."""

    namespace: str
    search: Object
    candidates: list[Object]
    pods: dict[str, Object] = field(default_factory=dict)
    seconds: float = 0.0

    def of(self, part: str) -> list[Object]:
        """The pods of one part, as they were last seen."""
        return [pod for pod in self.pods.values() if pod["metadata"]["labels"].get(PART) == part]


@pytest.fixture(scope="module")
def run(plane: ControlPlane, node: Node) -> Iterator[Run]:
    """The chart installed, and a search run to its end."""
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = plane.namespace("searching", labels=restricted)
    rendered = chart.text(*_values(plane), namespace=namespace)
    plane.kubectl("-n", namespace, "apply", "--server-side", "-f", "-", stdin=rendered)
    try:
        plane.kubectl("-n", namespace, "wait", "deployment", "--all", "--for=condition=Available", "--timeout=120s",
                      seconds=130)  # fmt: skip
        manifest = yaml.safe_dump(a_search(SEARCH, CANDIDATES))
        plane.kubectl("-n", namespace, "apply", "-f", "-", stdin=manifest)
        made = _watched(plane, namespace)
    except BaseException:
        print(_words(plane, node, namespace))
        raise
    _publish(made, node)
    yield made
    plane.request("DELETE", f"/api/v1/namespaces/{namespace}")


def test_the_search_is_complete_and_no_candidate_is_missing(plane: ControlPlane, run: Run) -> None:
    plane.kubectl(
        "-n", run.namespace, "wait", f"asearch/{SEARCH}", "--for=condition=Complete", "--timeout=10s"
    )
    assert sorted(one["status"]["ordinal"] for one in run.candidates) == list(range(BASELINES + CANDIDATES))
    assert {one["status"]["phase"] for one in run.candidates} <= ENDED
    measured = [one for one in run.candidates if one["status"]["phase"] == "Complete"]
    assert len(measured) >= BASELINES
    assert all(one["status"]["fitness"] for one in measured)


def test_training_pods_hold_no_token_and_the_player_is_somebody_else(run: Run) -> None:
    assert run.of("training")
    for pod in run.of("training"):
        assert not _tokens(pod)
        users = _users(pod)
        assert users["referee"] == OWN_UID
        assert users["player"] >= FIRST_PLAYER_UID


def test_agents_hold_a_token_for_the_gateway_alone(run: Run) -> None:
    assert run.of("agent")
    for pod in run.of("agent"):
        assert [token["audience"] for token in _tokens(pod)] == ["asiarch-gateway"]
        assert _users(pod) == {"agent": OWN_UID}


def test_training_reaches_nothing_and_agents_reach_the_gateway_alone(
    plane: ControlPlane, node: Node, run: Run
) -> None:
    doors = {
        "gateway": f"{_address(plane, run.namespace, 'gateway')}:8081",
        "operator": f"{_address(plane, run.namespace, 'operator')}:8080",
        "api": f"{HOST}:{plane.url.rpartition(':')[2]}",
        "api-service": "10.96.0.1:443",
    }
    assert reached(plane, node, run.namespace, _labels(run, "training"), doors) == set()
    assert reached(plane, node, run.namespace, _labels(run, "agent"), doors) == {"gateway"}


def _values(plane: ControlPlane) -> tuple[str, ...]:
    """What the chart must know of this cluster."""
    port = plane.url.rpartition(":")[2]
    return (
        'images.registry="localhost"', 'images.operator.tag="dev"', 'images.trainer.tag="dev"',
        'images.pullPolicy="Never"', f"networkPolicies.apiServer.ports=[443,{port}]", "crds.enabled=false",
    )  # fmt: skip


def _watched(plane: ControlPlane, namespace: str) -> Run:
    """Look on until the search has ended."""
    begin = time.monotonic()
    seen: dict[str, Object] = {}

    def over() -> bool:
        for pod in plane.get(f"/api/v1/namespaces/{namespace}/pods?resourceVersion=0")["items"]:
            seen[pod["metadata"]["uid"]] = pod
        return _search(plane, namespace)["status"].get("phase") in {"Complete", "Failed"}

    plane.wait_for(over, "the search", SECONDS)
    seconds = time.monotonic() - begin
    # The last candidate's status is written right after the search's own.
    plane.wait_for(lambda: _phases(_candidates(plane, namespace)).keys() <= ENDED, "the last candidate", 10)
    return Run(namespace, _search(plane, namespace), _candidates(plane, namespace), seen, seconds)


def _candidates(plane: ControlPlane, namespace: str) -> list[Object]:
    found: list[Object] = plane.get(f"{API}/namespaces/{namespace}/candidates")["items"]
    return found


def _search(plane: ControlPlane, namespace: str) -> Object:
    found: Object = plane.get(f"{API}/namespaces/{namespace}/architecturesearches/{SEARCH}")
    return {**found, "status": found.get("status", {})}


def _tokens(pod: Object) -> list[Object]:
    """The tokens that a pod has mounted."""
    sources = [s for v in pod["spec"]["volumes"] for s in v.get("projected", {}).get("sources", [])]
    return [source["serviceAccountToken"] for source in sources if "serviceAccountToken" in source]


def _users(pod: Object) -> dict[str, int]:
    return {c["name"]: c["securityContext"]["runAsUser"] for c in pod["spec"]["containers"]}


def _labels(run: Run, part: str) -> dict[str, str]:
    """The labels that policies know a part's pods by."""
    found = run.of(part)[0]["metadata"]["labels"].items()
    return {key: value for key, value in found if "job" not in key and "controller" not in key}


def _address(plane: ControlPlane, namespace: str, component: str) -> str:
    selector = f"labelSelector=app.kubernetes.io/component={component}"
    (pod,) = plane.get(f"/api/v1/namespaces/{namespace}/pods?{selector}")["items"]
    return str(pod["status"]["podIP"])


def _words(plane: ControlPlane, node: Node, namespace: str) -> str:
    """What everybody said, for whoever must find out why it didn't work."""
    shown = plane.kubectl("-n", namespace, "get", "pods,jobs,asearch,cand,events", "-o", "wide")
    return f"{shown}\n{node.log(namespace, '*')}"


def _publish(run: Run, node: Node) -> None:
    """Print the figures, and keep them where that is asked for."""
    rows = [
        *((step, f"{seconds:.1f} s") for step, seconds in node.seconds.items()),
        ("search, from `kubectl apply` to Complete", f"{run.seconds:.0f} s"),
        *(
            (f"{part} pods, and the median of their lives", _lives(run.of(part)))
            for part in ("agent", "training")
        ),
        ("candidates by phase", json.dumps(_phases(run.candidates))),
        ("best", json.dumps(run.search["status"].get("best", {}))),
    ]
    text = "\n".join(
        [
            "# A search on a real kubelet",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {machine()}.",
            "",
            f"Command: `ASIARCH_PUBLISH=node make test-node`: {BASELINES} baselines and {CANDIDATES} candidates",
            "with our images, under the chart's rights and network policies and pod security *restricted*.",
            "",
            "| step | figure |",
            "| --- | --- |",
            *(f"| {name} | {figure} |" for name, figure in rows),
            "",
        ]
    )
    print(text)
    if os.environ.get("ASIARCH_PUBLISH") == "node":
        (DOCS / "node.md").write_text(text)


def _lives(pods: list[Object]) -> str:
    """How many pods there were, and how long one took from its creation to its last container's end."""
    lives = []
    for pod in pods:
        ends = [
            c["state"].get("terminated", {}).get("finishedAt")
            for c in pod["status"].get("containerStatuses", [])
        ]
        if ends and all(ends):
            lives.append((_moment(max(ends)) - _moment(pod["metadata"]["creationTimestamp"])).total_seconds())
    return f"{len(pods)}; {statistics.median(lives):.0f} s" if lives else f"{len(pods)}"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _phases(candidates: list[Object]) -> dict[str, int]:
    phases = [one["status"]["phase"] for one in candidates]
    return {phase: phases.count(phase) for phase in sorted(set(phases))}
