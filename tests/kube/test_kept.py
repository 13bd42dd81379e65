"""What is kept of thousands of objects: all that is read of them later, and one copy of what is equal."""

import json

from asiarch.kube.client import Object
from asiarch.kube.kept import read_job, read_pod
from tests.kube.orders import an_order
from tests.kube.statuses import COMPLETE, a_pod, the_job

ORDER = an_order()


def as_news(found: Object) -> Object:
    """An object as a watch brings it: a text of its own."""
    parsed: Object = json.loads(json.dumps(found))
    return parsed


def test_pods_of_one_kind_share_what_they_were_given() -> None:
    pod = a_pod(ORDER)
    first, second = (
        read_pod(as_news({**pod, "spec": {**pod["spec"], "nodeName": node}})) for node in ("a", "b")
    )
    assert first["spec"]["containers"] is second["spec"]["containers"]
    assert (first["spec"]["nodeName"], second["spec"]["nodeName"]) == ("a", "b")
    given, kept = (
        next(one for one in found["spec"]["containers"] if one["name"] == "player") for found in (pod, first)
    )
    assert (kept["resources"], kept["securityContext"]) == (given["resources"], given["securityContext"])
    assert first["status"] == pod["status"]


def test_equal_words_of_different_objects_are_one_string() -> None:
    first, second = (read_job(as_news(the_job(ORDER, COMPLETE))) for _ in range(2))
    assert first == second
    for one, other in zip(first["metadata"].items(), second["metadata"].items(), strict=True):
        assert one[0] is other[0]
    conditions = (job["status"]["conditions"][0] for job in (first, second))
    one, other = (condition["reason"] for condition in conditions)
    assert one is other
