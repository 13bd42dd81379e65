"""What the API server's audit log says of the operator: how fast it reacted, and what it wrote and read."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

from asiarch.api.base import Instant, instant
from tests.cluster.plane import KUBELET

Object = dict[str, Any]
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_ORDER = re.compile(r"^(?P<candidate>.+?)-(?:propose|build|repair|analyze|train)(?:-.+)?-a\d+$")
_RESULT = re.compile(r"^(?P<order>.+)-result$")
_CHOSEN = re.compile(r"job(?:\+|%20)in(?:\+|%20)(?:%28|\()([a-z0-9-]+?)-\d{4}-")
"""The search of the first Job that a deletion of many names."""
_POD = re.compile(r"^(?P<order>.+)-[a-z0-9]{5}$")


@dataclass(frozen=True)
class Call:
    """One request that the API server has answered."""

    user: str
    verb: str
    resource: str
    """With its subresource."""
    name: str
    code: int
    received: Instant
    answered: Instant

    @property
    def kind(self) -> str:
        """What it did, in two words."""
        return f"{self.verb} {self.resource}"


def calls(
    path: Path, users: Iterable[str], begin: Instant = 0.0, end: Instant = float("inf")
) -> Iterator[Call]:
    """The answered calls of some users between two moments, by the server's clock, in the order of their answers."""
    marks = [f'"username":"{user}"' for user in users]
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not any(mark in line for mark in marks) or '"stage":"ResponseComplete"' not in line:
                continue
            found = _call(json.loads(line))
            if begin <= found.received < end:
                yield found


def _call(line: Object) -> Call:
    target = line.get("objectRef", {})
    subresource = f"/{target['subresource']}" if target.get("subresource") else ""
    return Call(
        user=line["user"].get("username", ""),
        verb=line["verb"],
        resource=target.get("resource", "") + subresource,
        name=target.get("name")
        or (chosen[1] if (chosen := _CHOSEN.search(line.get("requestURI", ""))) else ""),
        code=line.get("responseStatus", {}).get("code", 0),
        received=instant(line["requestReceivedTimestamp"]),
        answered=instant(line["stageTimestamp"]),
    )


@dataclass
class Tally:
    """What one user did in a stretch of time."""

    writes: Counter[str] = field(default_factory=Counter)
    reads: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, found: Iterable[Call]) -> "Tally":
        """Count calls."""
        tally = cls()
        for call in found:
            (tally.writes if call.verb in WRITES else tally.reads)[call.kind] += 1
            if call.code >= 400:
                tally.refused[f"{call.kind} {call.code}"] += 1
        return tally


@dataclass(frozen=True)
class Span:
    """A stretch of time that belongs to one search, or to none."""

    begin: Instant
    end: Instant
    search: str = ""

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.begin

    def meets(self, others: Iterable["Span"]) -> bool:
        """Whether one of others has a moment in common with it, and its search if it has one."""
        return any(
            other.begin < self.end and self.begin < other.end and other.search in ("", self.search)
            for other in others
        )


def reactions(found: Sequence[Call], operator: str) -> list[Span]:
    """From each order's end, as the API server has it, to the answer to its candidate's next status write.

    An order ends with its result's ConfigMap, or with the last status of its training pod.
    """
    ends: list[tuple[Instant, str]] = []
    pods: dict[str, tuple[Instant, str]] = {}
    writes: Mapping[str, list[Instant]] = defaultdict(list)
    for call in found:
        if call.user == operator and call.kind == "update candidates/status" and call.code < 300:
            writes[call.name].append(call.answered)
        elif call.user == KUBELET and call.code < 300:
            _note(call, ends, pods)
    ends += pods.values()
    waits = (min((t for t in writes[name] if t >= moment), default=None) for moment, name in ends)
    return [
        Span(moment, t, name.rpartition("-")[0])
        for (moment, name), t in zip(ends, waits, strict=True)
        if t is not None
    ]


def lists(found: Iterable[Call], operator: str) -> list[Span]:
    """When the operator listed everything: all pages that follow each other within a second."""
    spans: list[Span] = []
    pages = sorted((c.received, c.answered) for c in found if c.user == operator and c.verb == "list")
    for begin, end in pages:
        if spans and begin - spans[-1].end < 1.0:
            spans[-1] = Span(spans[-1].begin, max(end, spans[-1].end))
        else:
            spans.append(Span(begin, end))
    return [span for span in spans if span.seconds > 1.0]


def deletions(found: Iterable[Call], operator: str) -> list[Span]:
    """When the operator deleted many Jobs of a search with one call."""
    mine = (c for c in found if c.user == operator and c.verb == "deletecollection")
    return [Span(c.received, c.answered, c.name) for c in mine]


def _note(call: Call, ends: list[tuple[Instant, str]], pods: dict[str, tuple[Instant, str]]) -> None:
    if call.kind == "create configmaps" and (result := _RESULT.match(call.name)):
        ends.append((call.answered, _candidate(result["order"])))
    elif call.kind == "patch pods/status" and "-train-" in call.name and (pod := _POD.match(call.name)):
        pods[call.name] = (call.answered, _candidate(pod["order"]))


def _candidate(order: str) -> str:
    told = _ORDER.match(order)
    assert told is not None, f"{order} is no order's name"
    return told["candidate"]


def first_answers(found: Iterable[Call], operator: str, kind: str, reply: str) -> dict[str, float]:
    """Seconds from each object's first call of a kind, by anybody, to the operator's first reply about it."""
    begun: dict[str, Instant] = {}
    answers: dict[str, float] = {}
    for call in found:
        if call.user != operator and call.kind == kind:
            begun.setdefault(call.name, call.answered)
        elif call.user == operator and call.kind == reply and call.name in begun:
            answers.setdefault(call.name, call.answered - begun[call.name])
    return answers


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, 99th percentile and largest."""
    if len(values) < 2:
        return (*values, *values, *values) if values else (float("nan"),) * 3  # type: ignore[return-value]
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98], max(values)
