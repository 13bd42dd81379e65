"""A record says of a candidate what the future needs, and comes back from the archive as it was."""

import json

from hypothesis import given
from hypothesis import strategies as st

from asiarch.api.candidate import Lesson
from asiarch.api.reason import Reason
from asiarch.api.search import Cost
from asiarch.core.observation import Record, archived, record, record_of
from tests.builders import a_candidate, a_lesson

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
AMOUNTS = st.floats(0, 1e12)
LESSONS: st.SearchStrategy[Lesson] = st.builds(
    a_lesson, claim=st.text(max_size=256), delta=st.floats(-9, 9), half=st.floats(0, 9)
)
RECORDS: st.SearchStrategy[Record] = st.builds(
    Record,
    name=st.text(min_size=1, max_size=63),
    ordinal=st.integers(-1, 10**9),
    origin=st.sampled_from(["Baseline", "Proposed", "User"]),
    parents=st.lists(st.text(max_size=9)).map(tuple),
    references=st.lists(st.text(max_size=9)).map(tuple),
    phase=st.sampled_from(["Complete", "Rejected", "Failed"]),
    reason=st.none() | st.sampled_from(Reason),
    scores=st.lists(NUMBERS, max_size=8).map(tuple),
    depth=st.integers(0, 8),
    fitness=st.none() | NUMBERS,
    fingerprint=st.none() | st.text(max_size=64),
    digest=st.none() | st.text(max_size=64),
    title=st.text(max_size=80),
    cost=st.builds(Cost, seconds=AMOUNTS, gpu_seconds=AMOUNTS, tokens=st.integers(0, 10**15), usd=AMOUNTS),
    lesson=st.none() | LESSONS,
    uses=st.lists(st.text(max_size=9)).map(tuple),
    finished_at=st.text(max_size=24),
    vetoed=st.booleans(),
    pinned=st.booleans(),
)


@given(RECORDS)
def test_what_goes_into_the_archive_comes_back_equal(found: Record) -> None:
    assert record_of(json.loads(json.dumps(archived(found)))) == found


def test_a_record_in_the_archive_is_short() -> None:
    found = record(a_candidate(7, parents=("s-0001",), lesson=a_lesson(), uses=("s-0002",)))
    assert len(json.dumps(archived(found))) < 700


def test_a_field_of_a_later_version_is_passed_over() -> None:
    found = record(a_candidate(7))
    assert record_of({**archived(found), "mood": "good"}) == found


def test_a_vetoed_candidate_stays_measured_and_may_not_breed() -> None:
    candidate = a_candidate(3)
    metadata = candidate.metadata.model_copy(update={"annotations": {"asiarch.dev/veto": "true"}})
    vetoed = record(candidate.model_copy(update={"metadata": metadata}))
    assert (vetoed.measured, vetoed.functional) == (True, False)
    assert record(candidate).functional
