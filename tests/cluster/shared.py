"""A rig that all tests of a file share, and the few questions that they all ask of what stands there."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.fixtures import RESTRICTED, SERVICE_ACCOUNTS
from tests.cluster.plane import ControlPlane
from tests.cluster.playing import Playing, apart
from tests.cluster.rig import API, Rig, rig

Object = dict[str, Any]


@contextmanager
def shared_rig(
    plane: ControlPlane, folder: Path, words: Sequence[str] = (), *, wide: bool = False, **playing: Any
) -> Iterator[Rig]:
    """Everything up in a namespace of its own; orders are played instantly unless told otherwise.

    `{namespace}` in the operator's `words` becomes that namespace; one that is `wide` serves all namespaces.
    """
    name = plane.namespace(f"{folder.name}-{os.getpid()}", SERVICE_ACCOUNTS, RESTRICTED)
    options = {"training": "instant", "agents": "instant", **playing}
    try:
        with ExitStack() as stack:
            stack.enter_context(apart(plane))
            kubelet = Playing(plane, folder, f"node-{name}", **options)
            stack.callback(kubelet.remove)
            kubelet.start_ready()
            told = [word.format(namespace=name) for word in words]
            yield stack.enter_context(rig(plane, name, folder, kubelet, told, wide=wide))
    finally:
        if plane.exists(f"/api/v1/namespaces/{name}"):
            plane.request("DELETE", f"/api/v1/namespaces/{name}")


def condition(found: Object, kind: str) -> Object:
    """One condition of a search or a candidate; empty when it has none of this type."""
    conditions = found.get("status", {}).get("conditions", ())
    return next((dict(one) for one in conditions if one["type"] == kind), {})


def candidate(cast: Rig, name: str) -> Object:
    """A candidate as it stands."""
    found: Object = cast.plane.get(f"{API}/namespaces/{cast.namespace}/candidates/{name}")
    return found


def candidates_of(cast: Rig, search: str) -> list[Object]:
    """A search's candidates in the order of their ordinals."""
    mine = [c for c in cast.candidates() if c["spec"]["searchName"] == search]
    return sorted(mine, key=lambda c: c.get("status", {}).get("ordinal", -1))


def objects(cast: Rig, plural: str, labels: str = "") -> list[Object]:
    """Objects of a kind in the rig's namespace: `pods`, `configmaps`, `jobs`, `events`."""
    found: list[Object] = cast.plane.get(f"{path(cast, plural)}?labelSelector={labels}")["items"]
    return found


def path(cast: Rig, plural: str) -> str:
    """Where a kind is served in the rig's namespace."""
    apis = {
        "jobs": "/apis/batch/v1",
        "events": "/apis/events.k8s.io/v1",
        "architecturesearches": API,
        "candidates": API,
        "roles": "/apis/rbac.authorization.k8s.io/v1",
        "rolebindings": "/apis/rbac.authorization.k8s.io/v1",
    }
    return f"{apis.get(plural, '/api/v1')}/namespaces/{cast.namespace}/{plural}"


def events_about(cast: Rig, name: str) -> dict[str, Object]:
    """Our events about an object, by reason."""
    ours = (e for e in objects(cast, "events") if e.get("reportingController") == "asiarch.dev/operator")
    return {e["reason"]: e for e in ours if e["regarding"]["name"] == name}


def await_metric(cast: Rig, series: str) -> None:
    """Wait until the operator serves a series; it counts what it sees, a turn after it wrote it."""
    cast.plane.wait_for(lambda: series in (cast.operator.fetch("/metrics") or ""), series, 10)


def settled(cast: Rig, name: str, seconds: float = 120.0) -> Object:
    """Wait until a search is complete and its books are closed; returns it."""
    cast.await_phase(name, seconds=seconds)
    return until(cast, name, lambda s: not s["status"].get("reservations"), "no reservation", 10)


def until(cast: Rig, name: str, true: Callable[[Object], bool], what: str, seconds: float = 60.0) -> Object:
    """Wait until something is so of a search; returns it."""
    cast.plane.wait_for(lambda: true(cast.search(name)), f"{name}: {what}", seconds)
    return cast.search(name)


def edit(cast: Rig, name: str, patch: Object, plural: str = "architecturesearches", sub: str = "") -> Object:
    """Merge a patch into a search, or another object, as a user would."""
    where = f"{path(cast, plural)}/{name}{sub}"
    done: Object = cast.plane.request("PATCH", where, patch, kind="application/merge-patch+json")
    return done


def create(cast: Rig, plural: str, body: Object) -> Object:
    """Create an object as a user would, in one call."""
    made: Object = cast.plane.request("POST", path(cast, plural), body)
    return made


def delete(cast: Rig, name: str, plural: str = "architecturesearches", **options: Any) -> None:
    """Delete a search, or another object, as a user would."""
    cast.plane.request("DELETE", f"{path(cast, plural)}/{name}", options or None)
