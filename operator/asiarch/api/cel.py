"""Evaluates the rules of a schema (`x-kubernetes-validations`) on a document, as the API server does.

`self` is the node that a rule is written at. A rule that speaks of `oldSelf` is evaluated only when there is an older
node: fields correspond by name, entries of a keyed list by their key, entries of any other list not at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import celpy
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError

from asiarch.api.fault import Fault, at, shown
from asiarch.api.schema import LIST_KEYS, RULES, Schema

ABSENT: Any = object()
"""Stands for a node that isn't there."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a document with its older self and its schema."""

    value: Any
    old: Any
    schema: Schema
    path: str = ""

    def below(self) -> "Iterator[Node]":
        """Every node right below that the schema knows."""
        if isinstance(self.value, list):
            yield from self._entries()
        elif isinstance(self.value, dict):
            for name, value in self.value.items():
                schema = _field_schema(self.schema, name)
                if schema is not None:
                    yield Node(value, _get(self.old, name), schema, at(self.path, name))

    def _entries(self) -> "Iterator[Node]":
        keys = self.schema.get(LIST_KEYS, [])
        older = {_key(entry, keys): entry for entry in self.old} if keys and self.old is not ABSENT else {}
        for index, entry in enumerate(self.value):
            old = older.get(_key(entry, keys), ABSENT)
            yield Node(entry, old, self.schema["items"], f"{self.path}[{index}]")


def broken(node: Node) -> Iterator[Fault]:
    """Every rule that the node, or one below it, breaks."""
    for validation in node.schema.get(RULES, ()):
        about_change = "oldSelf" in validation["rule"]
        if about_change and node.old is ABSENT:
            continue
        if not holds(validation["rule"], node):
            yield _fault(validation, node, about_change=about_change)
    for below in node.below():
        yield from broken(below)


def holds(rule: str, node: Node) -> bool:
    """Evaluate one rule; a rule that can't be evaluated does not hold."""
    names = {"self": node.value, "oldSelf": node.old}
    bound = {name: _typed(value, node.schema) for name, value in names.items() if value is not ABSENT}
    try:
        return bool(_program(rule).evaluate(bound))
    except CELEvalError:
        return False


@cache
def _environment() -> celpy.Environment:
    return celpy.Environment()


@cache
def _program(rule: str) -> celpy.Runner:
    environment = _environment()
    return environment.program(environment.compile(rule))


def _typed(value: Any, schema: Schema) -> Any:
    """A value as CEL types it: what the schema calls a number is a double, however it was written."""
    if isinstance(value, dict):
        fields = {name: (below, _field_schema(schema, name)) for name, below in value.items()}
        typed = {
            celtypes.StringType(n): _typed(below, s) for n, (below, s) in fields.items() if s is not None
        }
        return celtypes.MapType(typed)
    if isinstance(value, list):
        return celtypes.ListType([_typed(entry, schema["items"]) for entry in value])
    if schema.get("type") == "number":
        return celtypes.DoubleType(value)
    return json_to_cel(value)


def _field_schema(schema: Schema, name: str) -> Schema | None:
    known: Schema | None = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
    return known


def _get(value: Any, name: str) -> Any:
    return value.get(name, ABSENT) if isinstance(value, dict) else ABSENT


def _key(entry: Any, keys: list[str]) -> tuple[Any, ...]:
    return tuple(entry.get(key) for key in keys) if keys else ()


def _fault(validation: dict[str, str], node: Node, *, about_change: bool) -> Fault:
    """Say which field is at fault; for a change, down to the first value that differs."""
    path, value, old = node.path, node.value, node.old
    for name in validation.get("fieldPath", "").split(".")[1:]:
        path, value, old = at(path, name), _get(value, name), _get(old, name)
    wanted = validation["message"].removeprefix("wanted ")
    if not about_change:
        return Fault(path, _said(value), wanted)
    path, value, old = _first_change(path, value, old)
    return Fault(path, f"{_said(value)} where {_said(old)} was", wanted)


def _first_change(path: str, value: Any, old: Any) -> tuple[str, Any, Any]:
    if isinstance(value, dict) and isinstance(old, dict):
        name = next(name for name in {**old, **value} if _get(value, name) != _get(old, name))
        return _first_change(at(path, name), _get(value, name), _get(old, name))
    if isinstance(value, list) and isinstance(old, list) and len(value) == len(old):
        index = next(index for index, pair in enumerate(zip(value, old, strict=True)) if pair[0] != pair[1])
        return _first_change(f"{path}[{index}]", value[index], old[index])
    return path, value, old


def _said(value: Any) -> str:
    """Quote a value; a list of named things by their names."""
    if isinstance(value, list) and all(isinstance(entry, dict) and "name" in entry for entry in value):
        return shown([entry["name"] for entry in value])
    return "nothing" if value is ABSENT else shown(value)
