"""The reference of both resources, `docs/api.md`, from the same schemas as the definitions."""

import json
from collections.abc import Iterator

from asiarch.api import crd
from asiarch.api.bounds import PATTERNS
from asiarch.api.names import APPROVE, PAUSE, PIN, RETRY, VETO
from asiarch.api.rules import RULES, Rule
from asiarch.api.schema import Schema

_HEAD = """\
# The custom resources

Generated from `operator/asiarch/api` by `python -m tests.api.generate`; do not edit. A **bold** field must be given.
Both kinds are `{version}` and namespaced; `kubectl get asiarch` lists both.
"""
_KIND = """\
## {kind} (`{short}`)

{description} Its name has at most {length} characters.

{spec}
What is wanted beside the bounds above:

{rules}
What the operator writes; a user never does:

{status}"""

_TAIL = """\
## Annotations

What people say without touching a spec. A switch is on for any value but `false`, so that a reason can stand there.

| annotation | on | meaning |
|---|---|---|
| `{PAUSE}` | both | Nothing new is started for it; what is under way ends. |
| `{RETRY}` | a candidate | For each new value, the order under way is stopped and tried anew, and a step that waits \
after lost attempts is tried at once; a finished candidate stays as it is. |
| `{VETO}` | a candidate | A live one ends as Rejected; a finished one is no longer a parent, a reference or the best, \
and its lesson is no longer told. |
| `{APPROVE}` | a candidate | `true`, or the name of a rung with `approval: true` that it may then climb. |
| `{PIN}` | a candidate | It is never archived. |

## Conditions of a search

| condition | true while |
|---|---|
| `Accepted` | nothing in the spec, or that it names, keeps the search from starting orders |
| `Progressing` | something is under way or can be started |
| `Ready` | it runs healthily, or is complete with nothing left undone; its message says otherwise what to do |
| `BudgetAvailable` | neither candidates, money nor time are used up |
| `Suspended` | `spec.suspend` or the annotation `{PAUSE}` says so |
| `Degraded` | something is wrong that leaves the rest working |
| `Stalled` | it is blocked or has failed, and needs a person |
| `Complete` | it has ended; a raised budget makes it go on |
| `Failed` | its yardstick could not be measured |

Those of a candidate are told in [lifecycle.md](lifecycle.md).
"""

_MANY = 12
"""So many words are listed elsewhere."""

_TABLE = "| field | type | default | meaning |\n|---|---|---|---|\n"


def render() -> str:
    """The whole page."""
    tail = _TAIL.format(PAUSE=PAUSE, RETRY=RETRY, VETO=VETO, APPROVE=APPROVE, PIN=PIN)
    return "\n".join([_HEAD.format(version=crd.API_VERSION), *map(_kind, crd.DEFINITIONS), tail])


def _kind(definition: crd.Definition) -> str:
    schema = crd.schema(definition.kind)
    spec, status = (
        _TABLE + "".join(_rows(schema["properties"][part], f"{part}.")) for part in ("spec", "status")
    )
    rules = "".join(f"- {_place(rule)}: {rule.wanted}\n" for rule in RULES if rule.kind == definition.kind)
    return _KIND.format(
        kind=definition.kind,
        short=definition.short,
        description=schema["description"],
        length=definition.name_length,
        spec=spec,
        rules=rules,
        status=status,
    )


def _place(rule: Rule) -> str:
    return f"`{'.'.join(filter(None, (rule.path, rule.field)))}`"


def _rows(schema: Schema, path: str) -> Iterator[str]:
    """One row for each field, then the rows of what is below it."""
    for name, field in schema["properties"].items():
        shown = f"**`{path}{name}`**" if name in schema.get("required", ()) else f"`{path}{name}`"
        default = f"`{json.dumps(field['default'])}`" if field.get("default", {}) != {} else ""
        yield f"| {shown} | {_type(field)} | {default} | {field['description']} |\n"
        below = field.get("items", field.get("additionalProperties", field))
        if "properties" in below:
            yield from _rows(below, f"{path}{name}{'' if below is field else '[]'}.")


def _type(field: Schema) -> str:
    """A type and its bounds in a few words."""
    if "enum" in field:
        words = " \\| ".join(f"`{word}`" for word in field["enum"])
        return words if len(field["enum"]) < _MANY else "a [reason](reasons.md)"
    if "items" in field:
        return f"list of {_count(field, 'Items')} × {_type(field['items'])}"
    if "additionalProperties" in field:
        return f"map of {_count(field, 'Properties')} × {_type(field['additionalProperties'])}"
    if field.get("type") in {"integer", "number"}:
        over = "above " if field.get("exclusiveMinimum") else ""
        return f"{field['type']}, {over}{field['minimum']} … {field['maximum']}"
    if "maxLength" in field:
        text = PATTERNS.get(field.get("pattern", ""), "text")
        return f"{text}; at most {field['maxLength']} characters"
    return str(field["type"])


def _count(field: Schema, of: str) -> str:
    least, most = field.get(f"min{of}", 0), field[f"max{of}"]
    return f"{most}" if least == most else f"{least} … {most}"
