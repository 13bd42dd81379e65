"""From the text of a manifest to one plain document: what JSON can say, and nothing else.

Scalars are read as kubectl reads them (a date stays text, 1e3 is a number), so that a file means the same everywhere.
"""

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from re import compile as pattern
from typing import Any

import yaml

from asiarch.api.fault import Fault, ManifestError, at, shown

MAX_BYTES = 1024 * 1024
MAX_NODES = 100_000
MAX_DEPTH = 64
_WORD = 64
"""Bits of the longest whole number that JSON readers take as such."""

_DIGITS = list("-+.0123456789")
_TRUE = r"[yY]|yes|Yes|YES|true|True|TRUE|on|On|ON"
_FALSE = r"[nN]|no|No|NO|false|False|FALSE|off|Off|OFF"
_FLOAT = r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
_SCALARS: tuple[tuple[str, str, list[str]], ...] = (
    ("merge", r"<<", ["<"]),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", rf"{_TRUE}|{_FALSE}", list("ytonfYTONF")),
    ("int", r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]*|[1-9][0-9_]*)", _DIGITS),
    ("float", rf"{_FLOAT}|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", _DIGITS),
)


def parse(text: str | bytes, name: str) -> dict[str, Any]:
    """Read a manifest's one document; `name` says which text it is. Raises ManifestError."""
    try:
        readable = _readable(text)
        _check(yaml.parse(readable, Loader=_Loader))
        document = yaml.load(readable, Loader=_Loader)  # noqa: S506 (a safe loader, narrowed)
    except _RefusedError as refused:
        faults = refused.faults
    except yaml.MarkedYAMLError as error:
        faults = (Fault(_place(error.problem_mark), f"not readable as YAML: {error.problem}"),)
    except (yaml.YAMLError, ValueError) as error:
        faults = (Fault("", f"not readable as YAML: {shown(str(error))}"),)
    else:
        if isinstance(document, dict):
            return document
        faults = (not_a_mapping(document),)
    raise ManifestError(fault.of(name) for fault in faults)


def write(document: Mapping[str, Any]) -> str:
    """Write a document as YAML; text that any reader may take for a number is quoted."""
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110))


def not_a_mapping(document: object) -> Fault:
    """Say that a document is no object."""
    found = "nothing" if document is None else "a list" if isinstance(document, list) else shown(document)
    return Fault("", found, "one object with apiVersion, kind, metadata and spec")


def not_plain(value: object, path: str = "") -> Iterator[Fault]:
    """Find what JSON can't say: numbers that aren't finite, dates, bytes, half characters."""
    if isinstance(value, dict):
        for name, below in value.items():
            if isinstance(name, str):
                yield from not_plain(below, at(path, name))
            else:
                yield Fault(path, f"the key {shown(name)}", "keys that are text")
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from not_plain(below, f"{path}[{index}]")
    else:
        yield from _not_plain_scalar(value, path)


def _not_plain_scalar(value: object, path: str) -> Iterator[Fault]:
    if isinstance(value, float) and not math.isfinite(value):
        yield Fault(path, str(value), "a finite number")
    elif isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        yield Fault(path, "half of a surrogate pair", "whole characters")
    elif not isinstance(value, str | float | int | None):
        yield Fault(path, f"a value of the type {type(value).__name__}", "what JSON can say")


class _RefusedError(Exception):
    """YAML that is well formed and that we refuse all the same."""

    def __init__(self, place: str, found: str, wanted: str, next_step: str = "") -> None:
        super().__init__(found)
        self.faults = (Fault(place, found, wanted, next_step),)


def _readable(text: str | bytes) -> str:
    if len(text) > MAX_BYTES:
        raise _RefusedError("", f"{len(text)} bytes", f"at most {MAX_BYTES}")
    try:
        return text.decode("utf-8-sig") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise _RefusedError(
            "", f"bytes that are not UTF-8 (byte {error.start})", "a text file in UTF-8"
        ) from None


def _check(events: Iterable[yaml.Event]) -> None:
    """Refuse several documents, deep nesting, and aliases that grow without end, before anything is built."""
    count = _Count()
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            count.alias(event)
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            count.open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            count.close()
        elif isinstance(event, yaml.DocumentStartEvent):
            count.document(event)


class _Count:
    """Counts nodes as if every alias were written out."""

    def __init__(self) -> None:
        self.nodes = 0
        self.documents = 0
        self.sizes: dict[str | None, int] = {}
        self.inside: list[tuple[str | None, int]] = []

    def document(self, event: yaml.Event) -> None:
        self.documents += 1
        if self.documents > 1:
            next_step = "put each object into a file of its own"
            raise _RefusedError(_place(event.start_mark), "a second document", "one in a file", next_step)

    def open(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag is not None:
            raise _RefusedError(_place(event.start_mark), f"the tag {event.tag}", "values without tags")
        self._add(1, event)
        if isinstance(event, yaml.CollectionStartEvent):
            self.inside.append((event.anchor, self.nodes - 1))
        else:
            self.sizes[event.anchor] = 1
        if len(self.inside) > MAX_DEPTH:
            raise _RefusedError(_place(event.start_mark), "deeper nesting", f"at most {MAX_DEPTH} levels")

    def close(self) -> None:
        anchor, before = self.inside.pop()
        self.sizes[anchor] = self.nodes - before

    def alias(self, event: yaml.AliasEvent) -> None:
        if event.anchor not in self.sizes:
            found = f"the alias *{event.anchor}"
            raise _RefusedError(_place(event.start_mark), found, "an alias of something above it")
        self._add(self.sizes[event.anchor], event)

    def _add(self, nodes: int, event: yaml.Event) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise _RefusedError(
                _place(event.start_mark), "more values", f"at most {MAX_NODES}, aliases written out"
            )


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}" if mark else ""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader with kubectl's scalars; a key may come once, and is text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML fills it)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag not in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}:
                raise _RefusedError(
                    _place(key.start_mark), f"the key {shown(key.value)}", "keys that are text"
                )
            if key.value in seen:
                raise _RefusedError(
                    _place(key.start_mark), f"the key {shown(key.value)} a second time", "each key once"
                )
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep))

    def whole(self, node: yaml.ScalarNode) -> float:
        """A number beyond 64 bits is read as JSON readers do, as a float."""
        try:
            digits = yaml.ScalarNode(node.tag, node.value.replace("0o", "0", 1))
            value = int(self.construct_yaml_int(digits))
            return value if value.bit_length() <= _WORD else float(value)
        except (ValueError, OverflowError):
            return math.inf

    def truth(self, node: yaml.ScalarNode) -> bool:
        """`y` and `n` are words for it, too."""
        return str(self.construct_scalar(node)).lower() in {"y", "yes", "true", "on"}


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """The safe dumper, which quotes what looks like a number, a truth or a date to it or to the loader."""


for _tag, _regex, _first in _SCALARS:
    for _reader in (_Loader, _Dumper):
        _reader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", pattern(rf"^(?:{_regex})\Z"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.whole)
_Loader.add_constructor("tag:yaml.org,2002:bool", _Loader.truth)
