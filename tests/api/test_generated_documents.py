"""Documents by the hundred, read off the schema: the right ones load, the others are told apart without a traceback."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asiarch.api import manifest
from asiarch.api.document import write
from tests.api.manifests import SEARCH
from tests.api.strategies import broken_documents, documents

manifest.validate(SEARCH)  # celpy raises the recursion limit as it starts, which hypothesis would complain of

KINDS = ("ArchitectureSearch", "Candidate")
any_kind = st.sampled_from(KINDS)
by_the_hundred = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@by_the_hundred
@given(any_kind.flatmap(documents))
def test_what_the_schema_and_the_rules_allow_loads_and_comes_back_equal(document: Any) -> None:
    assert manifest.validate(document) == ()
    read = manifest.load(write(document), "generated")
    assert manifest.load(manifest.dump(read), "written") == read
    assert manifest.load(manifest.dump(read), "written", old=read) == read


@by_the_hundred
@given(any_kind.flatmap(broken_documents))
def test_one_broken_constraint_is_a_fault_and_never_a_traceback(document: Any) -> None:
    faults = manifest.validate(document)
    assert faults
    for fault in faults:
        assert fault.subject.startswith(document["kind"])
        assert str(fault).isprintable()
        assert len(str(fault)) < 1024


_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates(),
    lambda below: st.lists(below, max_size=3)
    | st.dictionaries(st.text(max_size=9) | st.integers(), below, max_size=3),
    max_leaves=9,
)


@by_the_hundred
@given(
    any_kind.flatmap(documents), st.sampled_from(["apiVersion", "kind", "metadata", "spec", "status"]), _junk
)
def test_junk_in_any_part_of_a_document_is_a_fault_or_harmless(document: Any, part: str, junk: Any) -> None:
    document[part] = junk
    for fault in manifest.validate(document):
        assert str(fault)


@by_the_hundred
@given(st.text() | st.binary())
def test_any_text_is_a_document_or_a_fault(text: str | bytes) -> None:
    with pytest.raises(manifest.ManifestError):
        manifest.load(text, "junk.yaml")
