"""Checks a document against a schema's bounds, and says in words what each bound wants."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft4Validator, ValidationError, validators
from jsonschema.protocols import Validator

from asiarch.api.base import TIMESTAMP
from asiarch.api.fault import Fault, at, shown, suggestion
from asiarch.api.schema import Schema

_ENDS = "with a letter or a digit at both ends"
PATTERNS: Mapping[str, str] = {
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": f"lower-case letters, digits and '-', {_ENDS}",
    r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$": f"letters, digits, '-', '_' and '.', {_ENDS}",
    r"^[^\x00-\x1f\x7f]+$": "text without control characters",
    r"^[^\x00-\x1f\x7f]*$": "text without control characters",
    r"^([1-9][0-9]{0,8}s|[1-9][0-9]{0,6}m|[1-9][0-9]{0,4}h)$": "whole seconds, minutes or hours, such as 90s, 15m or"
    " 48h, at most 99999h",
    TIMESTAMP: "a moment in UTC, such as 2026-01-31T18:00:00Z",
    r"^-?[0-9]{1,12}(\.[0-9]{1,9})?$": 'a decimal number in quotes, such as "0.75"',
    r"^[0-9]{1,12}(\.[0-9]{1,9})?$": 'a decimal number of at least 0 in quotes, such as "20"',
    r"^[0-9a-f]{64}$": "a SHA-256 as 64 hexadecimal digits",
    r"^[a-z]+=[a-z0-9.-]+$": "a building block, such as rule=delta",
    r"^[1-9][0-9]{0,5}m?$": "processor cores, such as 2 or 500m",
    r"^[1-9][0-9]{0,8}(Ki|Mi|Gi|Ti)$": "memory in binary units, such as 512Mi or 2Gi",
    r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$": f"lower-case letters, digits, '-' and '.', {_ENDS}",
    r"^[-._a-zA-Z0-9]+$": "letters, digits, '-', '_' and '.'",
    r"^[A-Z][A-Za-z]*$": "one word in CamelCase",
}
"""What a pattern means."""


def beyond(document: Mapping[str, Any], schema: Schema) -> Iterator[Fault]:
    """Every field that is missing, of the wrong type, or beyond its bounds; one fault for each field."""
    said: set[str] = set()
    for error in _Validator(schema).iter_errors(document):
        path = _path(error)
        if path not in said:
            said.add(path)
            bound = str(error.validator)
            found, wanted = _FOUND.get(bound, shown), _WANTED[bound]
            yield Fault(path, found(error.instance), wanted(error.schema), _hint(error))


def _path(error: ValidationError) -> str:
    path = ""
    for part in error.absolute_path:
        path = f"{path}[{part}]" if isinstance(part, int) else at(path, part)
    return path


def _hint(error: ValidationError) -> str:
    """How a field of the wrong type, or with an unknown word, is mended."""
    value: Any = error.instance
    schema: Any = error.schema
    if isinstance(value, str) and "enum" in schema:
        return suggestion(value, schema["enum"])
    wants_text = schema.get("type") == "string" and "enum" not in schema
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f'write "{shown(value)}", in quotes' if wants_text and is_number else ""


def _required(_: Validator, names: list[str], instance: Any, schema: Schema) -> Iterator[ValidationError]:
    """Report a missing field at its own place."""
    if isinstance(instance, dict):
        for name in names:
            if name not in instance:
                yield ValidationError(
                    "missing", path=(name,), instance=None, schema=schema["properties"][name]
                )


def _pattern(_: Validator, pattern: str, instance: Any, __: Schema) -> Iterator[ValidationError]:
    """Match as RE2 does, for which `$` is the end of the text and not also the place before a last line break."""
    if isinstance(instance, str) and not _compiled(pattern).fullmatch(instance):
        yield ValidationError("mismatch")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


_Validator: Any = validators.extend(  # type: ignore[no-untyped-call]
    Draft4Validator, {"required": _required, "pattern": _pattern}
)
"""OpenAPI 3.0 takes its bounds from this draft of JSON Schema: `exclusiveMinimum` is true or false."""


def _kind(schema: Schema) -> str:
    """What a type is called; a closed list of words is told in full."""
    if "enum" in schema:
        return _choices(schema)
    if "type" not in schema:
        return "a whole number or text"
    if "pattern" in schema:
        return PATTERNS[schema["pattern"]]
    return _KINDS[schema["type"]]


def _choices(schema: Schema) -> str:
    choices = [str(choice) for choice in schema["enum"]]
    return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"


_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}

_WANTED: Mapping[str, Callable[[Schema], str]] = {
    "type": _kind,
    "anyOf": _kind,
    "required": _kind,
    "pattern": _kind,
    "enum": _choices,
    "minimum": lambda s: f"{'more than' if s.get('exclusiveMinimum') else 'at least'} {s['minimum']}",
    "maximum": lambda s: f"at most {s['maximum']}",
    "minLength": lambda s: f"at least {s['minLength']} character{'s' * (s['minLength'] > 1)}",
    "maxLength": lambda s: f"at most {s['maxLength']} characters",
    "minItems": lambda s: f"at least {s['minItems']} {'entries' if s['minItems'] > 1 else 'entry'}",
    "maxItems": lambda s: f"at most {s['maxItems']} entries",
    "maxProperties": lambda s: f"at most {s['maxProperties']} entries",
}
"""What each bound wants."""

_FOUND: Mapping[str, Callable[[Any], str]] = {
    "required": lambda _: "nothing",
    "maxLength": lambda value: f"{len(value)} characters",
    "minItems": lambda value: f"{len(value)} entries" if value else "an empty list",
    "maxItems": lambda value: f"{len(value)} entries",
    "maxProperties": lambda value: f"{len(value)} entries",
}
"""How a value is told where quoting it would not help."""
