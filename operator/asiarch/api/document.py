"""From the text of a manifest to one plain document: what JSON can say, and nothing else.

Scalars are read as kubectl reads them (a date stays text, 1e3 is a number), so that a file means the same everywhere.
"""

import math
from collections.abc import Hashable, Iterable, Iterator
from re import compile as pattern
from typing import Any

import yaml

from asiarch.api.fault import Fault, ManifestError, at, shown

MAX_BYTES = 1024 * 1024
MAX_NODES = 100_000
MAX_DEPTH = 64

_DIGITS = list("-+.0123456789")
_SCALARS: tuple[tuple[str, str, list[str]], ...] = (
    ("merge", r"<<", ["<"]),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"yes|Yes|YES|true|True|TRUE|on|On|ON|no|No|NO|false|False|FALSE|off|Off|OFF", list("ytonfYTONF")),
    ("int", r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)", _DIGITS),
    ("float", r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", _DIGITS),
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
        faults = (Fault(_place(error.problem_mark), error.problem or "something else", "YAML"),)
    except (yaml.YAMLError, ValueError) as error:
        faults = (Fault("", shown(str(error)), "YAML"),)
    else:
        faults = tuple(_not_plain(document, ""))
        if not faults and isinstance(document, dict):
            return document
        faults = faults or (not_a_mapping(document),)
    raise ManifestError(fault.of(name) for fault in faults)


def not_a_mapping(document: object) -> Fault:
    """Say that a document is no object."""
    found = "nothing" if document is None else "a list" if isinstance(document, list) else shown(document)
    return Fault("", found, "one object with apiVersion, kind, metadata and spec")


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
        raise _RefusedError("", f"bytes that are not UTF-8 (byte {error.start})", "a text file in UTF-8") from None


def _check(events: Iterable[yaml.Event]) -> None:
    """Refuse several documents, deep nesting, and aliases that grow without end, before anything is built."""
    count = _Count()
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            count.alias(event)
        elif isinstance(event, yaml.NodeEvent):
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

    def open(self, event: yaml.NodeEvent) -> None:
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
            raise _RefusedError(_place(event.start_mark), f"the alias *{event.anchor}", "an alias of something above it")
        self._add(self.sizes[event.anchor], event)

    def _add(self, nodes: int, event: yaml.Event) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise _RefusedError(_place(event.start_mark), "more values", f"at most {MAX_NODES}, aliases written out")


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}" if mark else ""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader with kubectl's scalars; a key may come once, and is text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML fills it)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag not in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}:
                raise _RefusedError(_place(key.start_mark), f"the key {shown(key.value)}", "keys that are text")
            if key.value in seen:
                raise _RefusedError(_place(key.start_mark), f"the key {shown(key.value)} a second time", "each key once")
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep))

    def whole(self, node: yaml.ScalarNode) -> float:
        """A number beyond 64 bits is read as JSON readers do, as a float."""
        try:
            value = int(self.construct_yaml_int(node))
            return value if value.bit_length() <= 64 else float(value)  # noqa: PLR2004
        except (ValueError, OverflowError):
            return math.inf

    def number(self, node: yaml.ScalarNode) -> float:
        """1.0 is 1, as in JSON."""
        value = float(self.construct_yaml_float(node))
        return int(value) if value.is_integer() and abs(value) < 2**53 else value


for _tag, _regex, _first in _SCALARS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", pattern(rf"^(?:{_regex})\Z"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.whole)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.number)


def _not_plain(value: object, path: str) -> Iterator[Fault]:
    """Find what JSON can't say: numbers that aren't finite, dates, bytes, half characters."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield from _not_plain(below, at(path, name))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _not_plain(below, f"{path}[{index}]")
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield Fault(path, str(value), "a finite number")
    elif isinstance(value, str):
        if any("\ud800" <= c <= "\udfff" for c in value):
            yield Fault(path, "half of a surrogate pair", "whole characters")
    elif not isinstance(value, bool | int | None):
        yield Fault(path, f"a value of the YAML type {type(value).__name__}", "what JSON can say")
