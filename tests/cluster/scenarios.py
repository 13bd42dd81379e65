"""Small plots for one operator, each of which ends well; with a bug planted in the operator, one of them tells of it.

Every plot returns sentences that say what broke; none when all is well.
"""

import time
from collections.abc import Callable
from typing import Any

from asiarch.api.code import digest
from asiarch.api.order import Result, Writing
from tests.cluster.checker import Reference
from tests.cluster.checks.evidence import deep
from tests.cluster.faults.settings import Faults, Noise
from tests.cluster.kubelet.faults import Fault
from tests.cluster.manifests import GATES, SEEDED, a_search
from tests.cluster.plane import ApiError
from tests.cluster.rig import API
from tests.cluster.stage import Object, Scene, Stage

PATIENCE = 90.0
"""Seconds in which something must happen, on a busy machine."""
SHORT_PATIENCE = 7.0
"""The same where a bug is planted that may keep a search from its end."""
FORGED = '"""A forged file."""\n'
_BACKGROUND = {"propagationPolicy": "Background"}


def small(name: str, candidates: int = 1, **spec: Any) -> Object:
    """A search with two baselines and one proposal."""
    return a_search(name, candidates, **spec)


def play(
    scene: Scene, search: Object, bug: str = "", quiet: float = 1.5, reference: Reference | None = None
) -> list[str]:
    """From the search's creation to the last write; what it broke, a search that never ends included."""
    scene.post(search)
    if not scene.operator.running:
        scene.start_operator()
    return end(scene, search["metadata"]["name"], bug, quiet, reference)


def end(
    scene: Scene, name: str, bug: str = "", quiet: float = 1.5, reference: Reference | None = None
) -> list[str]:
    """Wait for the end and for silence, with less patience for a bug; what was broken until then."""
    stuck = []
    try:
        scene.await_phase(name, seconds=SHORT_PATIENCE if bug else PATIENCE)
        scene.await_cleared(10.0 if bug else 40.0)
        scene.await_quiet(quiet, 10.0)
    except TimeoutError as error:
        stuck = [f"I6 {error}"]
    return stuck + scene.verdict(name, reference)


def calm(on: Stage, bug: str = "") -> list[str]:
    """Nothing happens."""
    with on.scene(planted=bug) as scene:
        return play(scene, small("calm"), bug)


def archived(on: Stage, bug: str = "") -> list[str]:
    """Only the newest candidate may stay; the others go into the archive."""
    search = small("archived", 3, retention={"keepBest": 1, "keepFinished": 1})
    search["spec"]["selection"] = {"policy": "AsiArch", "pool": 1, "parents": 1, "references": 1}
    with on.scene(planted=bug) as scene:
        broken = play(scene, search, bug)
        left = len(scene.candidates())
        return broken if left < 5 or broken else [f"All {left} candidates are still there."]


def preempted(on: Stage, bug: str = "") -> list[str]:
    """A pod is taken away by the scheduler."""
    with on.scene(planted=bug) as scene:
        name = f"preempted-{scene.namespace}"
        on.kubelet.fault(Fault("preempt", order=f"{name}-0000-train-gates-a1", times=1))
        return play(scene, small(name), bug)


def placeless(on: Stage, bug: str = "") -> list[str]:
    """One seed trains, and the other one never starts."""
    with on.scene(("--patience", "0.02"), planted=bug) as scene:
        name = f"placeless-{scene.namespace}"
        order = f"{name}-0000-train-recall-a1"
        on.kubelet.fault(
            Fault("imagepull", order=order, index=1, times=1),
            Fault("slow", order=order, index=0, seconds=3.0),
        )
        return play(scene, small(name, evaluation={"ladder": [GATES, SEEDED]}), bug)


def two_at_a_time(on: Stage, bug: str = "") -> list[str]:
    """Candidates wait for each other's budget: it has room for two training orders."""
    spec = {"evaluation": {"ladder": [GATES, SEEDED]}, "budget": {"candidates": 3, "gpuHours": "0.08"}}
    with on.scene(planted=bug) as scene:
        on.kubelet.fault(Fault("slow", order="tight-*-train-recall-a1", seconds=1.0))
        return play(scene, small("tight", 3, **spec), bug)


def deleted_under_way(on: Stage, bug: str = "") -> list[str]:
    """A user deletes a candidate whose order runs."""
    order = "deleted-0002-propose-a1"
    with on.scene(planted=bug) as scene:
        hold_up(on, scene, "deleted", order)
        scene.plane.request(
            "DELETE", f"{API}/namespaces/{scene.namespace}/candidates/deleted-0002", _BACKGROUND
        )
        return end(scene, "deleted", bug)


def deleted_meanwhile(on: Stage, bug: str = "") -> list[str]:
    """A user deletes a Job that has begun, while the operator is down."""
    order = "meanwhile-0000-train-gates-a1"
    with on.scene(planted=bug) as scene:
        hold_up(on, scene, "meanwhile", order)
        scene.operator.kill()
        delete_job(scene, order)
        on.kubelet.fault()
        scene.start_operator()
        return end(scene, "meanwhile", bug)


def name_taken(on: Stage, bug: str = "") -> list[str]:
    """Somebody else's Job stands under the name of ours."""
    name = "taken-0000-train-gates-a1"
    with on.scene(planted=bug) as scene:
        theirs = _post_job(scene, name)
        broken = play(scene, small("taken"), bug)
        return broken + _touched(scene, name, theirs)


def replaced(on: Stage, bug: str = "") -> list[str]:
    """A Job of ours is deleted and somebody else's takes its name, and the operator hears nothing of it.

    Then it wants the order stopped.
    """
    order = "replaced-0002-propose-a1"
    with on.scene(planted=bug) as scene:
        hold_up(on, scene, "replaced", order)
        scene.proxy.hold("jobs", "hold")
        scene.proxy.hold("pods", "hold")
        delete_job(scene, order)
        theirs = _post_job(scene, order)
        path = f"{API}/namespaces/{scene.namespace}/candidates/replaced-0002"
        veto = {"metadata": {"annotations": {"asiarch.dev/veto": "it is replaced"}}}
        deletions = len(_deletions(scene))
        on.plane.request("PATCH", path, veto, kind="application/merge-patch+json")
        scene.until(lambda: len(_deletions(scene)) > deletions, "the order's end", PATIENCE)
        scene.proxy.hold("jobs", "release")
        scene.proxy.hold("pods", "release")
        return end(scene, "replaced", bug) + _touched(scene, order, theirs)


def forged(on: Stage, bug: str = "") -> list[str]:
    """A result lies there that no pod of the order brought."""
    order = "forged-0002-build-a1"
    with on.scene(planted=bug) as scene:
        hold_up(on, scene, "forged", order, seconds=3.0)
        _forge(scene, order)
        broken = end(scene, "forged", bug)
        codes = [deep(candidate, "status.code.digest", "") for candidate in scene.candidates()]
        return broken + [
            f"I2 a result of nobody's was taken: {code}" for code in codes if code == digest(FORGED)
        ]


def throttled(on: Stage, bug: str = "") -> list[str]:
    """The API server asks for patience."""
    with on.scene(planted=bug) as scene:
        noise = Noise(rate=0.1, seed=1, kinds=("throttled",), retry_after=2)
        scene.proxy.faults(Faults(noise=noise))
        broken = play(scene, small("throttled"), bug, quiet=5.0)
        return broken + early(scene)


def overtaken(on: Stage, bug: str = "") -> list[str]:
    """Another operator works on the same search, and this one hears of candidates and searches long afterwards."""
    with on.scene(planted=bug) as scene, on.proxy(scene.folder / "other") as proxy:
        scene.post(small("overtaken", 2))
        scene.start_operator()
        scene.until(lambda: len(scene.candidates()) >= 2, "the first candidates", PATIENCE)
        for kind in ("candidates", "architecturesearches"):
            scene.proxy.hold(kind, "hold")
        other = on.operator(scene.namespace, scene.folder, proxy, name="other")
        with other:
            broken = end(scene, "overtaken")
            for kind in ("candidates", "architecturesearches"):
                scene.proxy.hold(kind, "release")
            time.sleep(1)
            return broken or end(scene, "overtaken", bug)


def early(scene: Scene) -> list[str]:
    """Calls that came before the moment that the API server had asked for."""
    rows = [row for row in scene.proxy.rows("early") if row["same"]]
    return [f"F3 {row['verb']} {row['path']} came {row['seconds']} s too early" for row in rows]


def hold_up(on: Stage, scene: Scene, name: str, order: str, seconds: float = 60.0) -> None:
    """Start a search and wait until this order runs; it takes its time."""
    on.kubelet.fault(Fault("slow", order=order, seconds=seconds))
    scene.post(small(name))
    scene.start_operator()
    scene.until(lambda: runs(on, scene, order), f"{order} to run", PATIENCE)


def runs(on: Stage, scene: Scene, order: str) -> bool:
    return any(e.order == order and e.namespace == scene.namespace for e in on.kubelet.entries())


def _jobs(scene: Scene) -> str:
    return f"/apis/batch/v1/namespaces/{scene.namespace}/jobs"


def delete_job(scene: Scene, name: str) -> None:
    """Delete a Job as a user would, and wait until its pods are gone, too."""
    scene.plane.request("DELETE", f"{_jobs(scene)}/{name}", _BACKGROUND)
    pods = f"/api/v1/namespaces/{scene.namespace}/pods?labelSelector=batch.kubernetes.io/job-name={name}"
    scene.plane.wait_for(lambda: not scene.plane.get(pods)["items"], f"the pods of {name} to go")


def _post_job(scene: Scene, name: str) -> str:
    """A user's own Job, which never starts; its uid."""
    container = {"name": "main", "image": "busybox", "command": ["true"]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    body = {"metadata": {"name": name}, "spec": {"suspend": True, "template": {"spec": pod}}}
    return str(scene.plane.request("POST", _jobs(scene), body)["metadata"]["uid"])


def _touched(scene: Scene, name: str, uid: str) -> list[str]:
    """Whether somebody else's Job is gone."""
    try:
        found = scene.plane.get(f"{_jobs(scene)}/{name}")["metadata"]["uid"]
    except ApiError:
        found = "nothing"
    return [] if found == uid else [f"I7 Job {name} was somebody else's, and is gone: {found} stands there"]


def _deletions(scene: Scene) -> list[Object]:
    return [row for row in scene.proxy.rows("write") if row["verb"] == "delete"]


def _forge(scene: Scene, order: str) -> None:
    result = Result(order=order, attempt=1, writing=Writing(text=FORGED, tags=("rule=forged",)))
    text = result.model_dump_json(by_alias=True, exclude_defaults=True)
    labels = {
        "app.kubernetes.io/managed-by": "asiarch",
        "asiarch.dev/search": "forged",
        "asiarch.dev/part": "result",
    }
    notes = {"asiarch.dev/order": order, "asiarch.dev/pod-uid": "somebody"}
    metadata = {"name": f"{order}-result", "labels": labels, "annotations": notes}
    body = {"metadata": metadata, "data": {"result.json": text}}
    scene.plane.request("POST", f"/api/v1/namespaces/{scene.namespace}/configmaps", body)


PLOTS: dict[str, Callable[..., list[str]]] = {
    plot.__name__: plot
    for plot in (
        calm, archived, preempted, placeless, two_at_a_time, deleted_under_way, deleted_meanwhile, name_taken, replaced,
        forged, throttled, overtaken,
    )
}  # fmt: skip
