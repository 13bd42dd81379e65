"""A sound run of one candidate, for planting faults in it."""

from dataclasses import replace
from typing import Any

from tests.cluster.checker import check_all, reference_of
from tests.cluster.checks.evidence import Evidence, Object

OPERATOR = "system:serviceaccount:lab:asiarch-operator"
ORDER = "s-0000-train-recall-a1"
SPEC = {
    "evaluation": {
        "ladder": [{"name": "recall", "seeds": 1, "deadline": "1m", "resources": {"nvidia.com/gpu": 2}}]
    },
    "budget": {"candidates": 1, "gpuHours": "0.1"},
}
WORST = {"seconds": 60.0, "gpuSeconds": 120.0, "tokens": 0, "usd": 0.0}
PAID = {"seconds": 7.0, "gpuSeconds": 14.0, "tokens": 0, "usd": 0.0}
NOTHING = {"seconds": 0.0, "gpuSeconds": 0.0, "tokens": 0, "usd": 0.0}


def a_search(version: int, **status: Any) -> Object:
    return {
        "apiVersion": "asiarch.dev/v1alpha1",
        "kind": "ArchitectureSearch",
        "metadata": {"name": "s", "uid": "u-s", "generation": 1, "resourceVersion": str(version)},
        "spec": SPEC,
        "status": {"observedGeneration": 1, "phase": "Running", **status},
    }


def a_candidate(version: int, ordinal: int = 0, **status: Any) -> Object:
    return {
        "apiVersion": "asiarch.dev/v1alpha1",
        "kind": "Candidate",
        "metadata": {
            "name": f"s-{ordinal:04d}",
            "uid": f"u-{ordinal}",
            "generation": 1,
            "resourceVersion": str(version),
        },
        "spec": {"searchName": "s", "origin": "Proposed", "parents": []},
        "status": {"ordinal": ordinal, "phase": "Evaluating", "cost": NOTHING, **status},
    }


def a_job(version: int, order: str = ORDER) -> Object:
    return {
        "kind": "Job",
        "metadata": {
            "name": order,
            "uid": f"j-{order}",
            "resourceVersion": str(version),
            "labels": {"asiarch.dev/search": "s"},
            "annotations": {"asiarch.dev/order": order},
        },
    }


def seen(*versions: Object) -> tuple[Object, ...]:
    """History rows, a second apart by revision."""
    return tuple(
        {"moment": float(v["metadata"]["resourceVersion"]), "type": "MODIFIED", "object": v} for v in versions
    )


def an_entry(event: str, time: float, order: str = ORDER, **fields: Any) -> Object:
    return {
        "time": time,
        "event": event,
        "namespace": "lab",
        "search": "s",
        "order": order,
        "attempt": int(order[-1]),
        "index": 0,
        "kind": "train",
        "job": "j",
        "pod": f"p-{order}",
        "seconds": 7.0 if event == "charged" else 0.0,
        **fields,
    }


def a_line(verb: str, resource: str, name: str = "", group: str = "", **fields: Any) -> Object:
    return {
        "stage": "ResponseComplete",
        "verb": verb,
        "user": {"username": OPERATOR},
        "objectRef": {"apiGroup": group, "resource": resource, "namespace": "lab", "name": name},
        "responseStatus": {"code": 201 if verb == "create" else 200},
        "requestReceivedTimestamp": "2026-01-02T03:04:05.000006Z",
        "requestURI": f"/{resource}",
        **fields,
    }


CODE = {"digest": "d1"}
NAMED = {"name": ORDER, "kind": "train", "attempt": 1}
DONE = a_candidate(15, phase="Complete", cost=PAID, code=CODE, fitness="0.5")
ENDED = a_search(16, phase="Complete", cost=PAID, reservations={})


def a_sound_run(**changes: Any) -> Evidence:
    run = Evidence(
        namespace="lab",
        name="s",
        search=ENDED,
        candidates=(DONE,),
        ledger=(an_entry("started", 13.0), an_entry("ended", 14.0), an_entry("charged", 14.0)),
        audit=(
            a_line("create", "candidates", "s-0000", "asiarch.dev"),
            a_line("create", "jobs", ORDER, "batch"),
            a_line("delete", "jobs", ORDER, "batch"),
        ),
        history=seen(
            a_candidate(9),
            a_search(10, reservations={ORDER: WORST}),
            a_candidate(11, order=NAMED),
            a_job(12),
            DONE,
            ENDED,
        ),
    )
    return replace(run, **changes)


def violations(run: Evidence) -> list[str]:
    return check_all(run, users=(OPERATOR,), reference=reference_of(a_sound_run(), (OPERATOR,)))


def with_version(changed: Object) -> tuple[Object, ...]:
    """The sound history with one more version."""
    return (*a_sound_run().history, *seen(changed))
