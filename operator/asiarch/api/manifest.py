"""Manifests: text in, objects out, or every fault in words; the same verdict as the API server's.

The generated definition itself is evaluated, first its schema and then its rules; the models come last.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from asiarch.api.candidate import Candidate
from asiarch.api.document import not_a_mapping, not_plain, parse, write
from asiarch.api.fault import Fault, ManifestError, at, shown, suggestion
from asiarch.api.search import ArchitectureSearch

__all__ = ["Fault", "ManifestError", "Resource", "dump", "load", "parse", "validate"]

Resource = ArchitectureSearch | Candidate
_MODELS: Mapping[str, type[ArchitectureSearch] | type[Candidate]] = {
    "ArchitectureSearch": ArchitectureSearch,
    "Candidate": Candidate,
}
_API_VERSION = "asiarch.dev/v1alpha1"


def load(text: str | bytes, name: str, old: Resource | None = None) -> Resource:
    """Read the one object in a text; `name` says which text, `old` what the object was. Raises ManifestError."""
    judged = _judge(parse(text, name), None if old is None else plain(old), name)
    if isinstance(judged, tuple):
        raise ManifestError(judged)
    return judged


def validate(
    document: object, old: Mapping[str, Any] | None = None, name: str = "manifest"
) -> tuple[Fault, ...]:
    """Every fault of a parsed document, none if it is right; `old` is the document that it is to replace."""
    judged = _judge(document, old, name)
    return judged if isinstance(judged, tuple) else ()


def plain(model: Resource) -> dict[str, Any]:
    """An object as a document: its YAML spelling, without what it has not."""
    document = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    metadata = {name: value for name, value in document["metadata"].items() if value}
    return {**document, "metadata": metadata}


def dump(model: Resource) -> str:
    """Write an object as YAML; `load` is the inverse."""
    return write(plain(model))


def _judge(document: object, old: Mapping[str, Any] | None, name: str) -> Resource | tuple[Fault, ...]:
    if not isinstance(document, dict):
        return (not_a_mapping(document).of(name),)
    strange = _strange(document)
    if strange:
        return tuple(fault.of(name) for fault in strange)
    unsayable = tuple(not_plain(document))
    if unsayable:
        return tuple(fault.of(_subject(document)) for fault in unsayable)
    # The libraries that read schemas and rules take half a second to import: only who has a manifest pays for it.
    from asiarch.api import admission  # noqa: PLC0415

    complete = admission.completed(document)
    faults = admission.faults(complete, None if old is None else admission.completed(old))
    judged = faults or _modelled(complete)
    return tuple(fault.of(_subject(document)) for fault in judged) if isinstance(judged, tuple) else judged


def _modelled(document: Mapping[str, Any]) -> Resource | tuple[Fault, ...]:
    try:
        return _MODELS[document["kind"]].model_validate(document)
    except ValidationError as error:
        return tuple(_fault(detail) for detail in error.errors())


def _strange(document: Mapping[str, Any]) -> list[Fault]:
    """Say what keeps us from knowing which definition a document is to be judged by."""
    known = {"apiVersion": (_API_VERSION,), "kind": tuple(_MODELS)}
    faults = []
    for field, words in known.items():
        value = document.get(field)
        if value not in words:
            found = shown(value) if field in document else "nothing"
            hint = suggestion(value, words) if isinstance(value, str) else ""
            faults.append(Fault(field, found, " or ".join(words), hint))
    return faults


def _subject(document: Mapping[str, Any]) -> str:
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"{document['kind']} {shown(name)}" if isinstance(name, str) else str(document["kind"])


def _fault(detail: Mapping[str, Any]) -> Fault:
    """What a model refuses although the definition allows it."""
    path = ""
    for part in detail["loc"]:
        path = f"{path}[{part}]" if isinstance(part, int) else at(path, part)
    return Fault(path, shown(detail["input"]), detail["msg"])
