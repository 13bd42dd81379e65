"""From a pydantic model to the structural OpenAPI schema that the API server accepts.

A structural schema has no references and no alternatives, so every definition is written out where it is used.
What a field may be left out for is said by its absence from `required`, never by null.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]
Definitions = Mapping[str, Schema]

LIST_TYPE, LIST_KEYS = "x-kubernetes-list-type", "x-kubernetes-list-map-keys"
MAP_TYPE = "x-kubernetes-map-type"
RULES, INT_OR_STRING = "x-kubernetes-validations", "x-kubernetes-int-or-string"
FREE = "x-kubernetes-preserve-unknown-fields"
_KEPT = (
    "description", "type", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern",
    "minItems", "maxItems", "maxProperties", LIST_TYPE, LIST_KEYS, MAP_TYPE, FREE,
)  # fmt: skip


def structural(model: type[BaseModel], *, defaults: bool = True) -> Schema:
    """Write a model's schema out; `defaults` tells whether the API server fills in what is left out."""
    written = model.model_json_schema(by_alias=True)
    schema = _written_out(written, written.get("$defs", {}))
    return schema if defaults else _without_defaults(schema)


def _written_out(node: Schema, known: Definitions) -> Schema:
    """Write one node and all below it without references, alternatives and titles."""
    node = _resolved(node, known)
    if "prefixItems" in node:
        node = {**node, "items": _mixed(node["prefixItems"])}
    schema = {key: node[key] for key in _KEPT if key in node}
    schema |= _bounds(node)
    if "const" in node:
        schema["enum"] = [node["const"]]
    if node.get("default") not in (None, "", []):
        schema["default"] = _plain(node["default"])
    write = _WRITERS.get(node.get("type", ""))
    return schema | write(node, known) if write else schema


def _resolved(node: Schema, known: Definitions) -> Schema:
    """Follow references, and take the one alternative that is not null."""
    if "$ref" in node:
        target = known[node["$ref"].removeprefix("#/$defs/")]
        return _resolved({**target, **{key: value for key, value in node.items() if key != "$ref"}}, known)
    if "anyOf" in node:
        (only,) = (choice for choice in node["anyOf"] if choice.get("type") != "null")
        return _resolved({**only, **{key: value for key, value in node.items() if key != "anyOf"}}, known)
    return node


def _bounds(node: Schema) -> Schema:
    """Write an exclusive lower bound in OpenAPI's way, and whole bounds as whole numbers."""
    bounds = {key: _plain(node[key]) for key in ("minimum", "maximum") if key in node}
    if "exclusiveMinimum" in node:
        bounds |= {"minimum": _plain(node["exclusiveMinimum"]), "exclusiveMinimum": True}
    return bounds


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _mixed(items: list[Schema]) -> Schema:
    """One schema for the members of a pair of a number and a text, which a structural schema can't tell apart."""
    number, text = items
    return {
        INT_OR_STRING: True,
        "maximum": number["maximum"],
        "minimum": number["minimum"],
        "maxLength": text["maxLength"],
        "pattern": text["pattern"],
    }


def _list(node: Schema, known: Definitions) -> Schema:
    items = node["items"]
    written = (
        {**items, "anyOf": [{"type": "integer"}, {"type": "string"}]} if INT_OR_STRING in items else None
    )
    return {LIST_TYPE: node.get(LIST_TYPE, "atomic"), "items": written or _written_out(items, known)}


def _object(node: Schema, known: Definitions) -> Schema:
    """Write an object's fields, or a map's values with the bound of its keys; a free object has neither."""
    if FREE in node:
        return {}
    if "properties" not in node:
        bound = node["propertyNames"]["maxLength"]
        keys = {
            "rule": f"self.all(key, size(key) <= {bound})",
            "message": f"wanted keys of at most {bound} characters",
        }
        return {"additionalProperties": _written_out(node["additionalProperties"], known), RULES: [keys]}
    required = node.get("required", [])
    fields = {
        name: _field(field, known, required=name in required) for name, field in node["properties"].items()
    }
    return {"properties": fields} | ({"required": required} if required else {})


def _field(node: Schema, known: Definitions, *, required: bool) -> Schema:
    """Write one field; an object that may be left out, and that can't be none, is filled in from its own defaults."""
    schema = _written_out(node, known)
    fills_in = "properties" in schema and not required and "default" not in node
    return schema | {"default": {}} if fills_in else schema


_WRITERS: Mapping[str, Callable[[Schema, Definitions], Schema]] = {"array": _list, "object": _object}


def _without_defaults(schema: Schema) -> Schema:
    bare = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in bare:
        bare["properties"] = {name: _without_defaults(field) for name, field in bare["properties"].items()}
    for below in ("items", "additionalProperties"):
        if below in bare:
            bare[below] = _without_defaults(bare[below])
    return bare
