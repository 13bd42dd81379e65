"""Specs drawn from the schema: every right one is taken, every broken one is refused by field, none leaves a trace."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.api.strategies import broken_documents, documents
from tests.cluster.checks.evidence import Object
from tests.cluster.manifests import a_short_search
from tests.cluster.plane import ApiError, ControlPlane
from tests.cluster.rig import Rig
from tests.cluster.shared import create, delete, objects, path, shared_rig

DRAWN = settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
PLURALS = {"ArchitectureSearch": "architecturesearches", "Candidate": "candidates"}
KEPT = 256
"""So many of each kind are created in earnest."""
STARTED = 24
"""So many searches of them may start something."""


@pytest.fixture(scope="module")
def cast(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One rig for all tests here."""
    with shared_rig(plane, tmp_path_factory.mktemp("generated")) as made:
        yield made


def tried(cast: Rig, document: Object) -> tuple[int, str]:
    """What the API server would say of a document: 201, or its refusal."""
    plural = PLURALS[document["kind"]]
    try:
        cast.plane.request("POST", f"{path(cast, plural)}?dryRun=All&fieldValidation=Strict", document)
    except ApiError as refused:
        return refused.status, str(refused)
    return 201, ""


@pytest.mark.parametrize("kind", PLURALS)
def test_every_right_document_is_taken(cast: Rig, kind: str) -> None:
    @DRAWN
    @given(documents(kind))
    def check(document: Object) -> None:
        assert tried(cast, document) == (201, "")

    check()


@pytest.mark.parametrize("kind", PLURALS)
def test_every_broken_document_is_refused_by_field(cast: Rig, kind: str) -> None:
    @DRAWN
    @given(broken_documents(kind))
    def check(document: Object) -> None:
        code, said = tried(cast, document)
        assert code in (400, 422), document
        assert "spec" in said

    check()


def test_what_is_created_in_earnest_gets_an_answer_and_then_goes(cast: Rig) -> None:
    names: list[str] = []

    @settings(DRAWN, max_examples=KEPT)
    @given(documents("ArchitectureSearch"), st.booleans())
    def make(document: Object, suspend: bool) -> None:  # noqa: FBT001 - hypothesis passes it so
        name = f"drawn-{len(names)}"
        names.append(name)
        spec: Any = {**document["spec"], "suspend": suspend or len(names) > STARTED}
        create(cast, "architecturesearches", {**document, "metadata": {"name": name}, "spec": spec})

    make()
    assert len(names) == KEPT
    cast.plane.wait_for(lambda: unanswered(cast) == [], f"an answer to {unanswered(cast)}", 120)
    for name in names:
        delete(cast, name)
    cast.plane.wait_for(lambda: objects(cast, "jobs") == [], "their Jobs to go", 60)


def unanswered(cast: Rig) -> list[str]:
    """Searches without a typed answer."""
    listed = objects(cast, "architecturesearches")
    types = {"Accepted", "Ready", "Progressing", "Complete", "Failed"}
    return [
        s["metadata"]["name"]
        for s in listed
        if not types <= {c["type"] for c in s.get("status", {}).get("conditions", ()) if c["reason"]}
    ]


def test_candidates_created_in_earnest_break_nothing(cast: Rig) -> None:
    names: list[str] = []

    @settings(DRAWN, max_examples=KEPT)
    @given(documents("Candidate"))
    def make(document: Object) -> None:
        names.append(f"drawn-{len(names)}")
        spec = {**document["spec"], "searchName": "host"}
        create(cast, "candidates", {**document, "metadata": {"name": names[-1]}, "spec": spec})

    make()
    assert len(names) == KEPT
    cast.apply(host())
    cast.await_phase("host", "Suspended", 60)
    assert objects(cast, "jobs") == []
    delete(cast, "host")


def host() -> Object:
    """A search that takes what names it, and starts nothing."""
    return a_short_search("host", candidates=50, suspend=True)


def test_none_of_it_made_a_traceback_or_a_restart(cast: Rig) -> None:
    said = cast.operator.log.read_text()
    assert "Traceback" not in said
    assert "error of ours" not in said
    assert cast.operator.running
    assert cast.operator.starts == 1
