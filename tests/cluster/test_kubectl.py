"""What people see: kubectl get, describe, explain and wait tell the story; users' own candidates join it."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.cluster import checker
from tests.cluster.manifests import a_search, a_short_search
from tests.cluster.plane import ControlPlane
from tests.cluster.rig import Rig
from tests.cluster.shared import candidate, candidates_of, create, settled, shared_rig
from tests.cluster.test_bad_input import MIXER, a_candidate, a_file

KSTATUS = {"Ready", "Stalled"}
"""What kstatus reads, beside observedGeneration."""
SEARCH_CONDITIONS = {
    "Accepted", "Progressing", "Ready", "BudgetAvailable", "Suspended", "Complete", "Failed", "Degraded", "Stalled",
}  # fmt: skip
CANDIDATE_CONDITIONS = {"Proposed", "Built", "Evaluated", "Analyzed", "Complete"}
LARGEST = 4096
"""Bytes of a Candidate."""


@pytest.fixture(scope="module")
def cast(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One search that has come to its end."""
    with shared_rig(plane, tmp_path_factory.mktemp("kubectl")) as made:
        made.apply(a_search("s", candidates=3))
        said = kubectl(made, "wait", "--for=condition=Complete", "--timeout=90s", "asearch/s")
        assert said == "architecturesearch.asiarch.dev/s condition met\n"
        settled(made, "s")
        yield made


def kubectl(cast: Rig, *words: str) -> str:
    """What kubectl says in the rig's namespace."""
    return cast.plane.kubectl("-n", cast.namespace, *words, seconds=120)


def table(text: str) -> list[dict[str, str]]:
    """The rows of what `kubectl get` printed."""
    head, *rows = text.splitlines()
    columns = [(m.start(), m.group().strip()) for m in re.finditer(r"\S+(?: \S+)*\s*", head)]
    ends = [start for start, _ in columns[1:]] + [None]
    return [
        {name: row[start:end].strip() for (start, name), end in zip(columns, ends, strict=True)}
        for row in rows
    ]


def test_get_shows_how_a_search_stands(cast: Rig) -> None:
    (row,) = table(kubectl(cast, "get", "asearch"))
    best = cast.search("s")["status"]["best"]
    assert (row["NAME"], row["PHASE"], row["PROPOSED"]) == ("s", "Complete", "3")
    assert (row["BEST"], row["FITNESS"]) == (best["candidate"], best["fitness"])
    assert row["AGE"]


def test_get_wide_tells_more(cast: Rig) -> None:
    plain, wide = (table(kubectl(cast, "get", "asearch", *words))[0] for words in ((), ("-o", "wide")))
    assert plain.keys() < wide.keys()
    assert wide["REASON"] == "BudgetExhausted"


def test_get_lists_candidates_with_their_end(cast: Rig) -> None:
    rows = {row["NAME"]: row for row in table(kubectl(cast, "get", "cand", "-o", "wide"))}
    mine = candidates_of(cast, "s")
    assert rows.keys() >= {c["metadata"]["name"] for c in mine}
    for one in mine:
        row = rows[one["metadata"]["name"]]
        assert (row["SEARCH"], row["PHASE"]) == ("s", one["status"]["phase"])
        assert row["FITNESS"] == one["status"].get("fitness", "")


def test_one_category_lists_both_kinds(cast: Rig) -> None:
    names = kubectl(cast, "get", "asiarch", "-o", "name").split()
    assert {name.partition(".")[0] for name in names} == {"architecturesearch", "candidate"}


def test_describe_tells_conditions_and_events(cast: Rig) -> None:
    said = kubectl(cast, "describe", "asearch", "s")
    for word in (*SEARCH_CONDITIONS, "Started", "BudgetExhausted", "3 of 3 candidates started."):
        assert word in said
    best = cast.search("s")["status"]["best"]["candidate"]
    assert "NewBest" in kubectl(cast, "describe", "cand", best)


def test_explain_describes_every_field(cast: Rig) -> None:
    for kind in ("asearch", "cand"):
        for part in ("spec", "status"):
            said = kubectl(cast, "explain", f"{kind}.{part}", "--recursive")
            assert "<no description>" not in said
    assert "Training orders at a time." in kubectl(cast, "explain", "asearch.spec.evaluation.parallelism")


def test_conditions_are_all_there_and_speak_of_the_generation(cast: Rig) -> None:
    found = cast.search("s")
    conditions = {c["type"]: c for c in found["status"]["conditions"]}
    assert conditions.keys() == SEARCH_CONDITIONS
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
    assert {c["observedGeneration"] for c in conditions.values()} == {found["metadata"]["generation"]}
    assert conditions.keys() >= KSTATUS
    assert (conditions["Ready"]["status"], conditions["Stalled"]["status"]) == ("True", "False")


def test_a_candidates_conditions_follow_its_life(cast: Rig) -> None:
    for one in candidates_of(cast, "s"):
        states = {c["type"]: c["status"] for c in one["status"]["conditions"]}
        wanted = CANDIDATE_CONDITIONS - ({"Analyzed"} if one["spec"]["origin"] == "Baseline" else set())
        assert states.keys() == wanted
        assert set(states.values()) == {"True"}
    kubectl(cast, "wait", "--for=condition=Complete", "--timeout=5s", "cand", "-l", "asiarch.dev/search=s")


def test_a_candidate_is_small(cast: Rig) -> None:
    for one in candidates_of(cast, "s"):
        one["metadata"].pop("managedFields", None)
        assert len(json.dumps(one, separators=(",", ":"))) < LARGEST


def test_fields_can_be_selected(cast: Rig) -> None:
    selector = "spec.searchName=s,status.phase=Complete"
    assert len(kubectl(cast, "get", "cand", "--field-selector", selector, "-o", "name").split()) == 5


def test_a_users_idea_and_a_users_file_join_the_search(cast: Rig) -> None:
    cast.apply(a_short_search("open", candidates=4, suspend=True))
    create(cast, "configmaps", a_file("finished", MIXER.replace("own file", "finished file")))
    finished = a_candidate("finished", "open", source={"configMap": "finished"})
    del finished["spec"]["idea"]
    create(cast, "candidates", a_candidate("idea", "open", parents=["open-0000"]))
    create(cast, "candidates", finished)
    kubectl(cast, "patch", "asearch", "open", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    settled(cast, "open")
    idea, file = candidate(cast, "idea"), candidate(cast, "finished")
    assert (idea["status"]["motivation"], idea["status"]["phase"]) == ("Gate the values.", "Complete")
    assert file["status"]["phase"] == "Complete"
    for one in (idea, file):
        assert one["metadata"]["ownerReferences"][0]["uid"] == cast.search("open")["metadata"]["uid"]
        assert one["metadata"]["labels"]["asiarch.dev/search"] == "open"
    assert {e.kind for e in cast.kubelet.entries() if e.order.startswith("finished-")} == {"train", "analyze"}
    assert len(candidates_of(cast, "open")) == 5
    assert checker.check_all(cast.evidence("open"), cast.users) == []
