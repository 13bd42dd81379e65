"""Searches that are over, made through the API before an operator starts: thousands of finished candidates."""

import asyncio
from collections.abc import Iterable
from typing import Any

from asiarch.api.base import decimal, timestamp
from asiarch.api.candidate import Candidate
from asiarch.api.meta import Condition
from asiarch.api.search import ArchitectureSearch
from asiarch.core import chance
from tests.builders import T0, a_candidate, a_lesson, a_result
from tests.cluster.kubelet.api import Api
from tests.cluster.manifests import a_search
from tests.cluster.plane import ControlPlane

Object = dict[str, Any]
MOST = 5000
"""Candidates of one search: no search may keep more."""
BASELINE = "gated-linear-attention"
_IN_FLIGHT = 40
_MERGE = "application/merge-patch+json"
_WORDS = (
    "The delta rule overwrites what a key held before, so that later tokens read the newest value; with a decay for "
    "each channel the state forgets what no query asked for. "
)


async def make(plane: ControlPlane, namespace: str, count: int) -> None:
    """Make so many finished candidates, in as few searches as may be."""
    async with Api(plane.admin) as api:
        for number, first in enumerate(range(0, count, MOST)):
            await _search(api, namespace, f"past-{number}", min(MOST, count - first))


async def _search(api: Api, namespace: str, name: str, count: int) -> None:
    space = f"/apis/asiarch.dev/v1alpha1/namespaces/{namespace}"
    spec: Object = {
        "baselines": [{"name": BASELINE}],
        "retention": {"keepFinished": MOST},
    }
    made = await api.call("POST", f"{space}/architecturesearches", a_search(name, count - 1, **spec))
    search = ArchitectureSearch.model_validate(made)
    room = asyncio.Semaphore(_IN_FLIGHT)

    async def create(candidate: Candidate) -> None:
        async with room:
            await api.call("POST", f"{space}/candidates", _new(candidate, search))
            status = candidate.status.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            path = f"{space}/candidates/{candidate.name}/status"
            await api.call("PATCH", path, {"status": status}, _MERGE)

    async with asyncio.TaskGroup() as group:
        for candidate in candidates(name, count):
            group.create_task(create(candidate))


def candidates(search: str, count: int) -> Iterable[Candidate]:
    """Finished candidates of one search, each with a status as large as real ones become."""
    yield a_candidate(0, search=search, origin="Baseline", **_told(0, ""))
    for ordinal in range(1, count):
        parent = f"{search}-{chance.integer(f'{search}/{ordinal}/parent') % ordinal:04d}"
        yield a_candidate(ordinal, search=search, parents=(parent,), **_told(ordinal, parent))


def _told(ordinal: int, parent: str) -> Object:
    """The rest of a status."""
    score = chance.uniform(f"finished/{ordinal}")
    groups = tuple(decimal(chance.uniform(f"finished/{ordinal}/{i}"), 4) for i in range(32))
    curve = tuple((step, decimal(3.0 - step / 100, 3)) for step in range(0, 160, 20))
    measured = {
        "groups": groups,
        "curve": curve,
        "seeds": (decimal(score),),
        "metrics": {
            f"{task}.{what}": "0.123456" for task in ("copy", "recall") for what in ("nll", "seconds")
        },
        "data": "d" * 64,
    }
    moment = timestamp(T0 + 10 * ordinal + 9)
    kinds = ("Proposed", "Built", "Evaluated", "Analyzed", "Complete")
    return {
        "motivation": (f"Idea {ordinal}. " + _WORDS * 6)[:1000],
        "recipe": (f"rule=delta {ordinal} " + _WORDS * 3)[:400],
        "analysis": (f"Result {ordinal}. " + _WORDS * 3)[:450],
        "tags": ("rule=delta", "decay=channel", "conv=4", "gate=output"),
        "uses": (parent,) if parent else (),
        "rungs": (a_result("gates", None), a_result("recall", score, **measured)),
        "fitness": decimal(score),
        "lesson": a_lesson(delta=score - 0.5),
        "isolation": ("runtime=default", "pod=restricted", "unprivileged-user", "read-only-root"),
        "observed_generation": 1,
        "conditions": tuple(
            Condition(type=kind, status="True", reason="Done", last_transition_time=moment) for kind in kinds
        ),
    }


def _new(candidate: Candidate, search: ArchitectureSearch) -> Object:
    owner = {
        "apiVersion": search.api_version,
        "kind": search.kind,
        "name": search.name,
        "uid": search.metadata.uid,
        "controller": True,
    }
    spec = candidate.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    if candidate.spec.origin == "Baseline":
        spec["baseline"] = BASELINE
    labels = {"app.kubernetes.io/managed-by": "asiarch", "asiarch.dev/search": search.name}
    return {
        "apiVersion": candidate.api_version,
        "kind": candidate.kind,
        "metadata": {"name": candidate.name, "labels": labels, "ownerReferences": [owner]},
        "spec": spec,
    }
