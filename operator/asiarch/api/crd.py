"""The generator of the custom resource definitions in `crds/`, from the API models and the rules."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from pydantic import BaseModel

from asiarch.api.candidate import Candidate, CandidateSpec, CandidateStatus
from asiarch.api.rules import RULES, Kind, Rule
from asiarch.api.schema import RULES as VALIDATIONS
from asiarch.api.schema import Schema, structural
from asiarch.api.search import ArchitectureSearch, SearchSpec, SearchStatus

GROUP, VERSION = "asiarch.dev", "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
_NAME = {"minLength": 1, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
_HEADER = "# Generated from operator/asiarch/api by `python -m tests.api.generate`; do not edit.\n"

Column = tuple[str, str, str, str, int]
"""Name, type, path, description, priority."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What is particular to one kind: its words, its columns and its models."""

    kind: Kind
    model: type[BaseModel]
    spec: type[BaseModel]
    status: type[BaseModel]
    plural: str
    short: str
    name_length: int
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()


_AGE: Column = ("Age", "date", ".metadata.creationTimestamp", "Since it was created.", 0)

DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        kind="ArchitectureSearch",
        model=ArchitectureSearch,
        spec=SearchSpec,
        status=SearchStatus,
        plural="architecturesearches",
        short="asearch",
        name_length=40,
        columns=(
            ("Phase", "string", ".status.phase", "Where the search stands.", 0),
            ("Proposed", "integer", ".status.counts.proposed", "Proposals and users' candidates so far.", 0),
            ("Live", "integer", ".status.counts.live", "Candidates at work.", 0),
            ("Best", "string", ".status.best.candidate", "The candidate in front.", 0),
            ("Fitness", "string", ".status.best.fitness", "Its fitness.", 0),
            ("Reason", "string", ".status.reason", "Why the search stands there.", 1),
            _AGE,
        ),
    ),
    Definition(
        kind="Candidate",
        model=Candidate,
        spec=CandidateSpec,
        status=CandidateStatus,
        plural="candidates",
        short="cand",
        name_length=63,
        columns=(
            ("Search", "string", ".spec.searchName", "The search it belongs to.", 0),
            ("Origin", "string", ".spec.origin", "Who brought it.", 1),
            ("Phase", "string", ".status.phase", "Where it stands in its lifecycle.", 0),
            ("Reason", "string", ".status.reason", "Why it ended, or why it is being repaired.", 0),
            ("Fitness", "string", ".status.fitness", "The number that selection sees.", 0),
            ("Title", "string", ".status.name", "What its researcher calls it.", 1),
            _AGE,
        ),
        selectable=(".spec.searchName", ".spec.origin", ".status.phase"),
    ),
)


@cache
def crds() -> tuple[dict[str, Any], ...]:
    """Both custom resource definitions; callers may not change them."""
    return tuple(_crd(definition) for definition in DEFINITIONS)


@cache
def schema(kind: str) -> Schema:
    """The whole schema of one kind, rules included; callers may not change it."""
    (definition,) = (definition for definition in DEFINITIONS if definition.kind == kind)
    return _schema(definition)


def render() -> dict[str, str]:
    """The files of `crds/`: their names and their texts."""
    return {f"{crd['metadata']['name']}.yaml": _text(crd) for crd in crds()}


def _text(crd: dict[str, Any]) -> str:
    return _HEADER + str(yaml.dump(crd, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110))


class _Dumper(yaml.SafeDumper):
    """Writes shared parts out instead of naming them."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _crd(definition: Definition) -> dict[str, Any]:
    names = {
        "kind": definition.kind,
        "listKind": f"{definition.kind}List",
        "plural": definition.plural,
        "singular": definition.kind.lower(),
        "shortNames": [definition.short],
        "categories": ["asiarch"],
    }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema(definition.kind)},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in definition.columns],
    }
    if definition.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in definition.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{definition.plural}.{GROUP}"},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }


def _column(column: Column) -> dict[str, Any]:
    name, kind, path, description, priority = column
    return {"name": name, "type": kind, "jsonPath": path, "description": description, "priority": priority}


def _schema(definition: Definition) -> Schema:
    name = {
        "type": "string",
        "description": "The object's name.",
        "maxLength": definition.name_length,
        **_NAME,
    }
    whole: Schema = {
        "description": definition.model.__doc__,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"Always {API_VERSION}.", "maxLength": 64},
            "kind": {"type": "string", "description": f"Always {definition.kind}.", "maxLength": 64},
            "metadata": {"type": "object", "properties": {"name": name}},
            "spec": structural(definition.spec),
            "status": structural(definition.status, defaults=False),
        },
    }
    for rule in RULES:
        if rule.kind == definition.kind:
            _node(whole, rule.path).setdefault(VALIDATIONS, []).append(_validation(rule))
    return whole


def _node(schema: Schema, path: str) -> Schema:
    """The node that a rule is written at: `spec.evaluation.ladder[].model`."""
    for part in filter(None, path.replace("[]", ".[]").split(".")):
        schema = schema["items"] if part == "[]" else schema["properties"][part]
    return schema


def _validation(rule: Rule) -> dict[str, str]:
    validation = {"rule": rule.rule, "message": f"wanted {rule.wanted}"}
    return validation | {"fieldPath": f".{rule.field}"} if rule.field else validation
