"""The generated definitions: equal to the files, whole, and bounded throughout."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asiarch.api import crd
from asiarch.api.bounds import PATTERNS
from asiarch.api.rules import RULES
from asiarch.api.schema import INT_OR_STRING, LIST_KEYS, LIST_TYPE, MAP_TYPE, Schema
from asiarch.api.schema import RULES as VALIDATIONS
from tests.api import generate

KINDS = ("ArchitectureSearch", "Candidate")


@pytest.mark.parametrize("path", list(generate.files()), ids=lambda path: str(path.name))
def test_what_is_generated_is_what_is_committed(path: Path) -> None:
    text = generate.files()[path]
    assert path.read_text() == text, "run `python -m tests.api.generate`"


def nodes(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every node of a schema with its path."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from nodes(field, f"{path}.{name}")
    for below in ("items", "additionalProperties"):
        if below in schema:
            yield from nodes(schema[below], f"{path}[]")


ALL = [node for kind in KINDS for node in nodes(crd.schema(kind), kind)]


def of_type(name: str) -> list[tuple[str, Schema]]:
    """Every node of a type that is no closed list of words."""
    return [(path, node) for path, node in ALL if node.get("type") == name and "enum" not in node]


def test_there_is_much_to_check() -> None:
    assert len(ALL) > 150


def test_every_text_is_bounded() -> None:
    assert [path for path, node in of_type("string") if "maxLength" not in node] == []


def test_every_list_is_bounded_and_says_how_it_merges() -> None:
    assert [path for path, node in of_type("array") if "maxItems" not in node or LIST_TYPE not in node] == []


def test_every_number_is_bounded() -> None:
    numbers = of_type("integer") + of_type("number")
    assert [path for path, node in numbers if not {"minimum", "maximum"} <= node.keys()] == []


def test_every_map_is_bounded_with_its_keys() -> None:
    maps = [(path, node) for path, node in of_type("object") if "additionalProperties" in node]
    assert [path for path, node in maps if "maxProperties" not in node or VALIDATIONS not in node] == []


def test_every_field_is_described() -> None:
    fields = [(path, name, field) for path, node in ALL for name, field in node.get("properties", {}).items()]
    bare = [f"{path}.{name}" for path, name, field in fields if not field.get("description")]
    assert bare == [f"{kind}.metadata" for kind in KINDS]  # the API server lets nobody describe metadata


def test_every_schema_is_structural() -> None:
    """No references, no alternatives, one type each, and never fields beside a map."""
    for path, node in ALL:
        assert not node.keys() & {"$ref", "allOf", "oneOf", "not", "nullable", "title", "const"}, path
        assert ("type" in node) != (INT_OR_STRING in node), path
        assert ("anyOf" in node) == (INT_OR_STRING in node), path
        assert not {"properties", "additionalProperties"} <= node.keys(), path


def test_the_keyed_lists_are_those_that_several_hands_edit() -> None:
    keyed = {path: node[LIST_KEYS] for path, node in ALL if node.get(LIST_TYPE) == "map"}
    assert keyed == {
        "ArchitectureSearch.spec.baselines": ["name"],
        "ArchitectureSearch.spec.evaluation.ladder": ["name"],
        "ArchitectureSearch.status.conditions": ["type"],
        "Candidate.status.conditions": ["type"],
    }


def test_the_maps_of_a_status_have_one_writer() -> None:
    """An account of who set each of hundreds of reservations would be larger than they are."""
    maps = {path: node.get(MAP_TYPE) for path, node in of_type("object") if "additionalProperties" in node}
    assert {path: kind for path, kind in maps.items() if ".status." in path and "[]" not in path} == {
        "ArchitectureSearch.status.reservations": "atomic"
    }


def test_the_status_has_no_defaults() -> None:
    assert [path for path, node in ALL if ".status" in path and "default" in node] == []


def test_every_pattern_is_anchored_and_told_in_words() -> None:
    patterns = {node["pattern"] for _, node in ALL if "pattern" in node}
    assert patterns <= PATTERNS.keys()
    assert all(pattern.startswith("^") and pattern.endswith("$") for pattern in PATTERNS)


def test_every_rule_is_in_its_definition() -> None:
    written = [validation["rule"] for _, node in ALL for validation in node.get(VALIDATIONS, [])]
    assert [rule.rule for rule in RULES if rule.rule not in written] == []


def test_a_message_is_one_line_that_the_api_server_takes() -> None:
    messages: list[Any] = [v["message"] for _, node in ALL for v in node.get(VALIDATIONS, [])]
    assert all(message.startswith("wanted ") and "\n" not in message for message in messages)


def test_the_definitions_are_named_and_listed_as_designed() -> None:
    search, candidate = (definition["spec"] for definition in crd.crds())
    words = ("kind", "shortNames", "categories")
    assert [search["names"][word] for word in words] == ["ArchitectureSearch", ["asearch"], ["asiarch"]]
    assert [candidate["names"][word] for word in words] == ["Candidate", ["cand"], ["asiarch"]]
    assert all(spec["versions"][0]["subresources"] == {"status": {}} for spec in (search, candidate))
    selectable = [field["jsonPath"] for field in candidate["versions"][0]["selectableFields"]]
    assert selectable == [".spec.searchName", ".spec.origin", ".status.phase"]


@pytest.mark.parametrize("definition", crd.DEFINITIONS, ids=lambda definition: str(definition.kind))
def test_every_column_shows_a_field_that_exists(definition: crd.Definition) -> None:
    for name, _, path, _, _ in definition.columns:
        node = crd.schema(definition.kind)
        if name != "Age":
            for part in path.split(".")[1:]:
                node = node["properties"][part]
