"""Judges a document by the generated definition as the API server would: defaults, unknown fields, bounds, rules."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from asiarch.api import crd
from asiarch.api.bounds import beyond
from asiarch.api.cel import ABSENT, Node, broken
from asiarch.api.fault import Fault, at, shown, suggestion
from asiarch.api.schema import LIST_KEYS, Schema

Document = dict[str, Any]

_TEXTS = ("generateName", "selfLink", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_LABEL = {"type": "string", "maxLength": 63, "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"}
_METADATA: Schema = {
    **{name: {"type": "string"} for name in _TEXTS},
    "namespace": {"type": "string", "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
    "generation": {"type": "integer"},
    "deletionGracePeriodSeconds": {"type": "integer"},
    "labels": {"type": "object", "additionalProperties": _LABEL},
    "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    "ownerReferences": {"type": "array", "items": {"type": "object"}},
    "finalizers": {"type": "array", "items": {"type": "string"}},
    "managedFields": {"type": "array", "items": {"type": "object"}},
}
"""What the API server itself knows of metadata; a definition may not speak of it."""


_EXACT = 2**53
"""Below it, a float says exactly which whole number it is."""


def completed(document: Mapping[str, Any]) -> Document:
    """A copy with the schema's defaults filled in, as the API server stores it."""
    copy: Document = _completed(document, _whole(document["kind"]))
    return copy


def faults(document: Document, old: Document | None = None) -> tuple[Fault, ...]:
    """Every fault of a completed document; rules are tried only where all bounds are kept."""
    schema = _whole(document["kind"])
    known = [*beyond(document, schema), *_repeated(document, schema, "")]
    if not known:
        known += broken(Node(document, ABSENT if old is None else old, crd.schema(document["kind"])))
    return (*_unknown(document, schema, ""), *known)


@cache
def _whole(kind: str) -> Schema:
    """The definition's schema with what the API server itself knows of metadata."""
    schema = crd.schema(kind)
    known = schema["properties"]["metadata"]
    metadata = {**known, "required": ["name"], "properties": {**_METADATA, **known["properties"]}}
    return {
        **schema,
        "properties": {**schema["properties"], "metadata": metadata},
        "required": ["metadata", "spec"],
    }


def _completed(value: Any, schema: Schema) -> Any:
    """Fill in defaults from the top down; null is the same as nothing, and 1.0 the same as 1."""
    if isinstance(value, Mapping):
        fields = schema.get("properties", {})
        defaults = {name: field["default"] for name, field in fields.items() if "default" in field}
        return {
            name: _completed(below, fields.get(name, schema.get("additionalProperties", {})))
            for name, below in {**_said(value, schema), **_left_out(value, defaults)}.items()
        }
    if isinstance(value, list):
        return [_completed(entry, schema.get("items", {})) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT else value


def _said(value: Mapping[str, Any], schema: Schema) -> Document:
    """What an object says, without the nulls of fields that may be left out."""
    optional = schema.get("properties", {}).keys() - schema.get("required", [])
    silent = value.keys() if "additionalProperties" in schema else optional
    return {name: below for name, below in value.items() if below is not None or name not in silent}


def _left_out(value: Mapping[str, Any], defaults: Document) -> Document:
    return {name: below for name, below in defaults.items() if value.get(name) is None}


def _below(value: Any, schema: Schema, path: str) -> Iterator[tuple[Any, Schema, str]]:
    """Every value right below that the schema knows, with its schema and its path."""
    if isinstance(value, dict):
        fields, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
        for name, below in value.items():
            yield below, fields.get(name, rest), at(path, name)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield entry, schema.get("items", {}), f"{path}[{index}]"


def _unknown(value: Any, schema: Schema, path: str) -> Iterator[Fault]:
    """Fields that no schema knows, each with the nearest known name."""
    fields = schema.get("properties")
    if isinstance(value, dict) and fields is not None:
        for name in (name for name in value if name not in fields):
            yield Fault(at(path, name), "unknown field", next_step=suggestion(name, fields))
    for below in _below(value, schema, path):
        yield from _unknown(*below)


def _repeated(value: Any, schema: Schema, path: str) -> Iterator[Fault]:
    """Entries of a keyed list whose key came before."""
    for key in schema.get(LIST_KEYS, ()) if isinstance(value, list) else ():
        names = [entry.get(key) if isinstance(entry, dict) else None for entry in value]
        for index, name in enumerate(names):
            if name is not None and name in names[:index]:
                yield Fault(at(f"{path}[{index}]", key), f"{shown(name)} a second time", f"each {key} once")
    for below in _below(value, schema, path):
        yield from _repeated(*below)
