"""I6 to I9 are broken on purpose, and the checker names each."""

from pathlib import Path

import pytest

from tests.cluster.checker import Reference, check_all, reference_of
from tests.cluster.checks.evidence import Object, json_lines
from tests.cluster.checks.leftovers import nothing_left
from tests.cluster.checks.rights import beyond_the_role, never_used
from tests.cluster.checks.traces import nothing_written, tally
from tests.cluster.sound import OPERATOR, ORDER, a_candidate, a_line, a_sound_run, violations


def test_a_write_in_a_quiet_time_is_caught() -> None:
    beat = a_line("update", "candidates", "s-0000", "asiarch.dev")
    told = nothing_written([beat], [OPERATOR], since=1767323045.0, until=1767323046.0)
    assert told == [
        f"I6 {OPERATOR} did update candidates s-0000 at 2026-01-02T03:04:05.000006Z, when nothing changed"
    ]
    assert nothing_written([beat], [OPERATOR], since=1767323046.0, until=1767323099.0) == []
    assert nothing_written([a_line("get", "jobs")], [OPERATOR], since=0, until=2e9) == []


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"labels": {"app.kubernetes.io/managed-by": "asiarch"}}, "I7 Job j is left, with our labels"),
        ({"labels": {"asiarch.dev/search": "s"}}, "I7 Job j is left, with our labels"),
        ({"ownerReferences": [{"uid": "u-0"}]}, "I7 Job j is left, owned by ['u-0']"),
    ],
)
def test_a_leftover_is_caught(metadata: Object, said: str) -> None:
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", **metadata}}
    assert nothing_left([job], ["u-0"]) == [said]


def test_only_what_is_ours_counts_as_left() -> None:
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt"}}
    assert nothing_left([foreign], ["u-0"]) == []
    assert nothing_left([a_candidate(1)], []) == ["I7 Candidate s-0000 is left"]


def test_a_write_to_a_foreign_object_is_caught() -> None:
    foreign = a_line("delete", "configmaps", "papers")
    run = a_sound_run(audit=(*a_sound_run().audit, foreign))
    assert f"I7 {OPERATOR} did delete configmaps papers, which is not ours" in violations(run)


RULES = (
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "delete"]},
    {"apiGroups": ["asiarch.dev"], "resources": ["candidates"], "verbs": ["create"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": ["one"],
        "verbs": ["get"],
    },
)


def test_a_right_beyond_the_role_is_caught() -> None:
    status = a_line("update", "candidates", "s-0000", "asiarch.dev")
    status["objectRef"]["subresource"] = "status"
    other = a_line("get", "leases", "two", "coordination.k8s.io")
    told = beyond_the_role(RULES, [*a_sound_run().audit, status, other], OPERATOR)
    assert [" ".join(t.split()[2:5]) for t in told] == [
        "did update candidates/status.asiarch.dev",
        "did get leases.coordination.k8s.io",
    ]
    assert beyond_the_role(RULES, a_sound_run().audit, OPERATOR) == []


@pytest.mark.parametrize(
    "rule",
    [
        {"apiGroups": [""], "resources": ["*"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]},
    ],
)
def test_a_role_that_grants_too_much_is_caught(rule: Object) -> None:
    [told] = beyond_the_role([rule], [], OPERATOR)
    assert told.startswith("I8 a rule grants")


def test_a_right_that_is_never_used_is_caught() -> None:
    assert never_used(RULES, a_sound_run().audit, OPERATOR) == [
        f"I8 {OPERATOR} may get leases.coordination.k8s.io, and never did"
    ]


def test_a_second_create_is_caught_and_a_later_attempt_is_not() -> None:
    once_more = a_line("create", "configmaps", "s-code-abc")
    found = violations(a_sound_run(audit=(*a_sound_run().audit, once_more)))
    assert "I9 create configmaps: 1 times, 0 in the reference" in found
    retry = a_line("create", "jobs", "s-0000-train-recall-a2", "batch")
    assert violations(a_sound_run(audit=(*a_sound_run().audit, retry))) == []


def test_a_delete_that_was_sent_twice_counts_once() -> None:
    deleted = a_line("delete", "jobs", ORDER, "batch")
    assert tally([deleted, deleted], [OPERATOR]) == {"delete jobs": 1}


SELECTOR = "/jobs?labelSelector=asiarch.dev%2Fjob+in+%28{0}%29%2Casiarch.dev%2Fcandidate-uid+in+%28u%29"


def test_a_deletion_of_many_that_names_each_is_that_many_deletions() -> None:
    many = a_line("deletecollection", "jobs", group="batch", requestURI=SELECTOR.format(f"{ORDER}%2Cother"))
    assert tally([many], [OPERATOR]) == {"delete jobs": 2}
    found = violations(a_sound_run(audit=(*a_sound_run().audit, many)))
    assert f"I7 {OPERATOR} did delete jobs other, which is not ours" in found
    assert not any(f"jobs {ORDER}," in sentence for sentence in found)


@pytest.mark.parametrize("uri", ["/jobs", "/jobs?labelSelector=asiarch.dev%2Fsearch%3Ds"])
def test_a_deletion_of_many_that_names_none_is_caught(uri: str) -> None:
    many = a_line("deletecollection", "jobs", group="batch", requestURI=uri)
    found = violations(a_sound_run(audit=(*a_sound_run().audit, many)))
    assert f"I7 {OPERATOR} did deletecollection jobs (many), which is not ours" in found


def test_counts_are_compared_only_where_the_reference_has_some() -> None:
    lineage = reference_of(a_sound_run(), ()).lineage
    assert check_all(a_sound_run(audit=()), users=(OPERATOR,), reference=Reference(lineage)) == []


def test_a_log_is_read_from_whole_lines_wherever_one_begins(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text('{"n": 1}\n{"n": 2}\n{"n": 3}\n{"n"')
    assert [[row["n"] for row in json_lines(log, start)] for start in (0, 4, 9, 10)] == [
        [1, 2, 3],
        [2, 3],
        [2, 3],
        [3],
    ]
