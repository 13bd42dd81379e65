"""Hypothesis strategies that are read off the generated schemas: right documents, and one constraint broken."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import strategies as st

from asiarch.api import crd
from asiarch.api.schema import FREE, INT_OR_STRING, LIST_KEYS, Schema
from asiarch.api.search import SHIPPED_BASELINES

Values = st.SearchStrategy[Any]
_TEXT = st.characters(exclude_categories=["Cs"])
_MOST = 3
"""Entries of a generated list or map, for speed."""
_LONGEST = 12
"""Characters of a generated text, for speed."""


@cache
def documents(kind: str, *, fresh: bool = False) -> Values:
    """Documents that keep every bound and every rule of a kind; with an empty status where they are `fresh`."""
    schema = crd.schema(kind)["properties"]
    name = values(schema["metadata"]["properties"]["name"])
    status = st.just({}) if fresh else values(schema["status"])
    parts = st.tuples(name, values(schema["spec"]), status)
    return parts.map(lambda drawn: _MEND[kind](_document(kind, *drawn)))


def values(schema: Schema) -> Values:
    """Values that keep every bound of a schema."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "properties" in schema:
        known = {name: values(field) for name, field in schema["properties"].items()}
        required = schema.get("required", [])
        optional = {name: known[name] for name in known if name not in required}
        return st.fixed_dictionaries({name: known[name] for name in required}, optional=optional)
    if FREE in schema:
        return st.sampled_from(
            [{}, {"spec": {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "gpu"}]}}]
        )
    if "additionalProperties" in schema:
        return st.dictionaries(
            st.text(_TEXT, max_size=9), values(schema["additionalProperties"]), max_size=_MOST
        )
    return _SCALARS[schema["type"]](schema)


def _document(kind: str, name: str, spec: Any, status: Any) -> Any:
    head = {"apiVersion": crd.API_VERSION, "kind": kind, "metadata": {"name": name}}
    return copy.deepcopy({**head, "spec": spec, "status": status})


def _lists(schema: Schema) -> Values:
    items, keys = schema["items"], schema.get(LIST_KEYS)
    if INT_OR_STRING in items:
        decimals = st.decimals(-9, 9, places=3).map(str)
        return st.tuples(st.integers(0, 10**9), decimals).map(list)
    most = min(schema["maxItems"], _MOST)
    unique: Callable[[Any], Any] | None = (lambda entry: entry[keys[0]]) if keys else None
    return st.lists(values(items), min_size=schema.get("minItems", 0), max_size=most, unique_by=unique)


def _texts(schema: Schema) -> Values:
    least, most = schema.get("minLength", 0), schema["maxLength"]
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True, alphabet=_TEXT).filter(
            lambda text: len(text) <= most
        )
    return st.text(_TEXT, min_size=least, max_size=min(most, _LONGEST))


def _numbers(schema: Schema) -> Values:
    low, high = schema["minimum"], schema["maximum"]
    return st.floats(low, high, exclude_min=schema.get("exclusiveMinimum", False))


_SCALARS: dict[str, Callable[[Schema], Values]] = {
    "boolean": lambda _: st.booleans(),
    "integer": lambda schema: st.integers(schema["minimum"], schema["maximum"]),
    "number": _numbers,
    "string": _texts,
    "array": _lists,
}


def _mended_search(document: Any) -> Any:
    """Keep the rules of a search, too."""
    spec = document["spec"]
    for baseline in spec["baselines"]:
        if baseline["name"] not in SHIPPED_BASELINES:
            baseline.setdefault("source", {"file": "mine.py"})
        _mend_source(baseline)
    if "selection" in spec:
        pool = spec["selection"].setdefault("pool", 50)
        spec["selection"]["parents"] = min(pool, spec["selection"].get("parents", 1))
    ladder = spec["evaluation"]["ladder"]
    for index, rung in enumerate(ladder):
        _mend_rung(rung, may_be_gates=index == 0 and len(ladder) > 1)
    if "deadline" in spec.get("stop", {}):
        spec["stop"]["deadline"] = "2026-11-23T00:00:00Z"
    return document


def _mend_source(holder: Any) -> None:
    source = holder.get("source", {"file": "mine.py"})
    if "file" in source:
        source.pop("configMap", None)
    else:
        source.setdefault("configMap", "mine")


def _mend_rung(rung: Any, *, may_be_gates: bool) -> None:
    rung["name"] = rung["name"].replace("-r", "-q")
    if "resources" in rung:
        rung["resources"] = {
            f"example.com/{n}": rung["resources"][key] for n, key in enumerate(rung["resources"])
        }
    if rung["task"] == "Gates" and not may_be_gates:
        rung["task"] = "SyntheticRecall"
    rung.pop("dataset", None)
    if rung["task"] == "ByteLanguageModel":
        rung["dataset"] = {"path": "stdlib"}
    if "model" in rung:
        rung["model"] |= {"width": 64, "heads": 4}


def _mended_candidate(document: Any) -> Any:
    """Keep the rules of a candidate, too."""
    spec = document["spec"]
    if document["metadata"]["name"] in spec.get("parents", []):
        del spec["parents"]
    if spec["origin"] == "Baseline" or "baseline" in spec:
        spec["baseline"] = "delta-net"
    _mend_source(spec)
    if "source" in spec:
        spec.pop("idea", None)
    elif spec["origin"] == "User":
        spec["idea"] = "Gate the values."
    return document


_MEND: dict[str, Callable[[Any], Any]] = {
    "ArchitectureSearch": _mended_search,
    "Candidate": _mended_candidate,
}


@dataclass(frozen=True)
class Spot:
    """A value in a document, where it stands, and its schema."""

    holder: Any
    key: Any
    schema: Schema

    @property
    def value(self) -> Any:
        return self.holder[self.key]


def spots(holder: Any, schema: Schema) -> Iterator[Spot]:
    """Every value below a mapping or a list."""
    if isinstance(holder, dict):
        for name in [] if FREE in schema else holder:
            yield from _spot(
                holder, name, schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            )
    elif isinstance(holder, list):
        for index in range(len(holder)):
            yield from _spot(holder, index, schema["items"])


def _spot(holder: Any, key: Any, schema: Schema) -> Iterator[Spot]:
    yield Spot(holder, key, schema)
    yield from spots(holder[key], schema)


BREAKS: dict[str, Callable[[Schema, Any], Any]] = {
    "type": lambda schema, _: {"array": {}, "object": []}.get(schema["type"], [[]]),
    "enum": lambda _, value: f"{value}x",
    "minimum": lambda schema, _: schema["minimum"] - 1,
    "exclusiveMinimum": lambda schema, _: schema["minimum"],
    "maximum": lambda schema, _: schema["maximum"] * 2 + 1,
    "minLength": lambda _, __: "",
    "maxLength": lambda schema, _: "a" * (schema["maxLength"] + 1),
    "pattern": lambda _, __: "\x00 %",
    "minItems": lambda _, __: [],
    "maxItems": lambda schema, value: value[:1] * (schema["maxItems"] + 1) if value else [None] * 100,
    "maxProperties": lambda schema, _: {str(n): [] for n in range(schema["maxProperties"] + 1)},
    "properties": lambda _, value: {**value, "no such field": 1},
    "required": lambda schema, value: {name: v for name, v in value.items() if name != schema["required"][0]},
}
"""For each constraint, a value that breaks it."""


@st.composite
def broken_documents(draw: st.DrawFn, kind: str) -> Any:
    """A document that was right until one constraint of its spec was broken."""
    document = draw(documents(kind))
    schema = crd.schema(kind)["properties"]["spec"]
    spot = draw(st.sampled_from([Spot(document, "spec", schema), *spots(document["spec"], schema)]))
    constraint = draw(st.sampled_from(sorted(BREAKS.keys() & spot.schema.keys())))
    spot.holder[spot.key] = BREAKS[constraint](spot.schema, spot.value)
    return document
