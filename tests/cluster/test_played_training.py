"""A training order as the operator asks for it, done by the real trainer on the playing kubelet."""

from collections.abc import Callable
from hashlib import sha256

import pytest

from asiarch.api.order import Result
from asiarch.kube import manifests
from asiarch.kube.deployment import Deployment, Images
from tests.builders import a_candidate, a_search
from tests.cluster.jobs import Bench, an_order, terminated
from tests.cluster.kubelet.play import digest
from tests.cluster.plane import ROOT, ControlPlane
from tests.cluster.playing import Playing

BASELINE = ROOT / "operator" / "asiarch" / "agents" / "baselines" / "no-mixing.py"


@pytest.mark.slow
def test_referee_and_player_measure_a_file(
    plane: ControlPlane, namespace: str, kubelet: Callable[..., Playing]
) -> None:
    playing, bench = kubelet(training="real"), Bench(plane, namespace)
    search, candidate, text = a_search(), a_candidate(), BASELINE.read_text()
    order = an_order(code=sha256(text.encode()).hexdigest(), rung={"name": "gates", "task": "Gates"})
    code = manifests.code_map(search, order.code or "", text)
    job = manifests.job(order, candidate, search, Deployment(Images("agent", "trainer"), "http://nowhere"))
    for made in (code, job):
        # Their owners are not here.
        made["metadata"] |= {"ownerReferences": [], "namespace": namespace}
    plane.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", code)
    pod = bench.until(bench.create(job), "Complete", 120)
    message = terminated(pod)["referee"]["message"]
    result = Result.model_validate_json(message)
    assert result.reason is None, result.message
    assert result.measurement is not None
    assert {e.digest for e in playing.entries() if e.event == "charged"} == {digest(message)}
