"""What is said of manifests, word for word."""

from typing import Any

import pytest
import yaml

from asiarch.api import manifest
from asiarch.api.search import ArchitectureSearch
from tests.api.edits import CANDIDATE_CHANGES, SEARCH_CHANGES
from tests.api.generate import ROOT
from tests.api.manifests import (
    BAD_CANDIDATES,
    BAD_SEARCHES,
    CANDIDATE,
    GONE,
    GOOD_CANDIDATES,
    GOOD_SEARCHES,
    SEARCH,
    changed,
)


def said(document: Any, old: Any = None) -> list[str]:
    """What is said of a document, a line for each fault."""
    return [str(fault) for fault in manifest.validate(document, old)]


@pytest.mark.parametrize(("path", "value"), GOOD_SEARCHES)
def test_a_search_that_is_right_has_no_fault(path: str, value: Any) -> None:
    assert said(changed(SEARCH, path, value)) == []


@pytest.mark.parametrize(("path", "value", "message"), BAD_SEARCHES)
def test_a_fault_of_a_search_names_field_found_and_wanted(path: str, value: Any, message: str) -> None:
    document = changed(SEARCH, path, value)
    name = document["metadata"].get("name")
    assert said(document) == [f'ArchitectureSearch "{name}": {message}']


@pytest.mark.parametrize(("path", "value"), GOOD_CANDIDATES)
def test_a_candidate_that_is_right_has_no_fault(path: str, value: Any) -> None:
    assert said(changed(CANDIDATE, path, value)) == []


@pytest.mark.parametrize(("path", "value", "message"), BAD_CANDIDATES)
def test_a_fault_of_a_candidate_names_field_found_and_wanted(path: str, value: Any, message: str) -> None:
    document = changed(CANDIDATE, path, value)
    assert said(document) == [f'Candidate "{document["metadata"]["name"]}": {message}']


@pytest.mark.parametrize(("path", "value", "message"), SEARCH_CHANGES)
def test_what_makes_results_comparable_never_changes(path: str, value: Any, message: str | None) -> None:
    expected = [f'ArchitectureSearch "q": {message}'] if message else []
    assert said(changed(SEARCH, path, value), SEARCH) == expected


@pytest.mark.parametrize(("path", "value", "message"), CANDIDATE_CHANGES)
def test_a_candidates_past_never_changes(path: str, value: Any, message: str | None) -> None:
    expected = [f'Candidate "q-0001": {message}'] if message else []
    assert said(changed(CANDIDATE, path, value), CANDIDATE) == expected


def test_a_refused_manifest_says_what_came_of_it() -> None:
    with pytest.raises(manifest.ManifestError) as caught:
        manifest.load(yaml.safe_dump(changed(SEARCH, "spec/budget/candidates", -3)), "q.yaml")
    expected = (
        'ArchitectureSearch "q": spec.budget.candidates: found -3, wanted at least 1. Nothing was started.'
    )
    assert str(caught.value) == expected


def test_every_fault_is_told_at_once() -> None:
    document = changed(changed(SEARCH, "spec/budget/candidates", -3), "spec/sed", 1)
    with pytest.raises(manifest.ManifestError) as caught:
        manifest.load(yaml.safe_dump(document), "q.yaml")
    assert str(caught.value).splitlines() == [
        'ArchitectureSearch "q": spec.sed: unknown field; did you mean seed?',
        'ArchitectureSearch "q": spec.budget.candidates: found -3, wanted at least 1.',
        "Nothing was started.",
    ]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("kind", "ArchitectureSerach", 'kind: found "ArchitectureSerach", wanted ArchitectureSearch or Candidate;'
         " did you mean ArchitectureSearch?"),
        ("kind", GONE, "kind: found nothing, wanted ArchitectureSearch or Candidate."),
        ("kind", [], "kind: found [], wanted ArchitectureSearch or Candidate."),
        ("apiVersion", "asiarch.dev/v1", 'apiVersion: found "asiarch.dev/v1", wanted asiarch.dev/v1alpha1;'
         " did you mean asiarch.dev/v1alpha1?"),
    ],
)  # fmt: skip
def test_an_unknown_kind_is_told_under_the_files_name(path: str, value: Any, message: str) -> None:
    (fault,) = manifest.validate(changed(SEARCH, path, value), name="q.yaml")
    assert str(fault) == f"q.yaml: {message}"


def test_an_object_without_a_name_is_told_by_its_kind() -> None:
    (fault,) = manifest.validate({**SEARCH, "metadata": {}})
    assert str(fault).startswith("ArchitectureSearch: metadata.name: found nothing")


def test_a_document_that_is_no_object_is_a_fault() -> None:
    (fault,) = manifest.validate([SEARCH], name="q.yaml")
    assert str(fault) == "q.yaml: found a list, wanted one object with apiVersion, kind, metadata and spec."


def test_the_example_loads_and_comes_back_equal() -> None:
    search = manifest.load((ROOT / "examples" / "quickstart.yaml").read_bytes(), "quickstart.yaml")
    assert manifest.load(manifest.dump(search), "written") == search


def test_what_was_left_out_and_null_are_the_schemas_defaults() -> None:
    document = changed(SEARCH, "spec/evaluation/ladder/1/steps", None)
    search = manifest.load(yaml.safe_dump(document), "q.yaml")
    assert isinstance(search, ArchitectureSearch)
    assert (search.spec.seed, search.spec.evaluation.ladder[1].steps) == (0, 150)


def test_a_change_is_judged_against_the_object_that_was() -> None:
    before = manifest.load(yaml.safe_dump(SEARCH), "q.yaml")
    after = changed(SEARCH, "spec/seed", 5)
    with pytest.raises(manifest.ManifestError, match="found 5 where 0 was"):
        manifest.load(yaml.safe_dump(after), "q.yaml", old=before)


def test_the_models_have_the_last_word() -> None:
    """A structural schema can't say that a pair is a number first and a text second."""
    curve = [{"name": "recall", "curve": [["0.5", 10]]}]
    (fault, _) = manifest.validate(changed(CANDIDATE, "status/rungs", curve))
    assert fault.path == "status.rungs[0].curve[0][0]"
    assert fault.found == '"0.5"'


def test_an_entry_that_is_neither_number_nor_text_is_a_fault() -> None:
    curve = [{"name": "recall", "curve": [[1, True]]}]
    (fault,) = manifest.validate(changed(CANDIDATE, "status/rungs", curve))
    assert str(fault).endswith("status.rungs[0].curve[0][1]: found true, wanted a whole number or text.")
