"""What is kept of thousands of objects: all that is read of them later, and one copy of what is equal."""

import json

from asiarch.api.candidate import Candidate
from asiarch.kube.client import Object
from asiarch.kube.kept import KeptCandidate, read_job, read_pod
from tests.builders import a_candidate
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


def test_a_candidate_is_kept_as_it_came_and_without_the_list_of_its_fields() -> None:
    for phase in ("Evaluating", "Complete"):
        found = as_news(a_candidate(3, phase=phase).model_dump(mode="json", by_alias=True))
        kept = KeptCandidate(found)
        assert kept.model == Candidate.model_validate(found)
        assert kept.model.model_copy(update={"kind": "Other"}).model_fields_set >= {"kind"}
        assert KeptCandidate(found).record == kept.record
    at_work = KeptCandidate(as_news(a_candidate(4, phase="Building").model_dump(mode="json", by_alias=True)))
    assert not at_work.model.model_fields_set | at_work.model.status.model_fields_set
