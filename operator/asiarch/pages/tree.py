"""The lineage as a picture and as a tree for the terminal.

In the picture every candidate has a row of its own, so that no two labels can meet; a parent stands above its
children and one step to the left of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rich.text import Text
from rich.tree import Tree as TerminalTree

from asiarch.api.candidate import Candidate
from asiarch.core import lineage, ranking
from asiarch.core.observation import Observation, Record
from asiarch.core.report import Row, Summary
from asiarch.pages.templates import fill
from asiarch.pages.text import number, one_line
from asiarch.pages.verdict import gain, scored

WIDTH, ROW, TOP, MARGIN = 760, 22, 34, 14
LABEL_END = 528
"""Where titles must end; scores stand to the right."""
CHARACTER = 6.3
"""Width of a character of a title, on the safe side."""
MOST = 80
"""Candidates in one picture; of larger searches, the best with all their ancestors."""

Standing = Literal["better", "level", "worse", "ended", "live"]
Shape = Literal["baseline", "proposal", "user", "ended"]
SHAPES: Mapping[str, Shape] = {"Baseline": "baseline", "Proposed": "proposal", "User": "user"}


@dataclass(frozen=True, slots=True)
class Mark:
    """One candidate in the picture."""

    name: str
    label: str
    title: str
    hint: str
    x: float
    y: float
    shape: Shape
    standing: Standing
    score: str
    rung: str
    gain: str
    best: bool
    """Whether it is the best proposal or one of its ancestors."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A line from a parent to its child, as an SVG path."""

    path: str
    best: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that the template draws."""

    marks: tuple[Mark, ...]
    edges: tuple[Edge, ...]
    height: float
    left_out: int


def svg(observed: Observation, summary: Summary, *, linked: bool = False) -> str:
    """Draw the lineage; with `linked`, each candidate leads to the anchor of its name."""
    return fill("lineage.svg.j2", picture=picture(observed, summary), linked=linked, width=WIDTH)


def picture(observed: Observation, summary: Summary) -> Picture:
    """Give every candidate its place."""
    shown = _shown(observed.records)
    walk = list(lineage.tree(shown).walk())
    step = min(30.0, 190 / max([1, *(level for level, _ in walk)]))
    rows = {row.candidate: row for row in summary.rows}
    best = summary.verdict.best
    line = {best, *lineage.ancestors(best, shown)} if best else set()
    marks = {}
    for i, (level, name) in enumerate(walk):
        place = MARGIN + step * level, TOP + ROW * i + ROW / 2
        marks[name] = _mark(place, observed.candidates[name], shown[name], rows.get(name), best=name in line)
    edges = [
        Edge(_path(marks[above[0]], mark), mark.best and marks[above[0]].best)
        for name, mark in marks.items()
        if (above := lineage.parents(shown[name], shown))
    ]
    # The best line is drawn last, above the others.
    edges.sort(key=lambda edge: edge.best)
    return Picture(
        tuple(marks.values()), tuple(edges), TOP + ROW * len(walk) + 8, len(observed.records) - len(shown)
    )


def terminal(observed: Observation) -> TerminalTree:
    """The lineage for a terminal."""
    tree = lineage.tree(observed.records)
    top = TerminalTree(Text(observed.search.name, "bold"), guide_style="dim")
    branches = [top]
    for level, name in tree.walk():
        del branches[level + 1 :]
        branches.append(branches[level].add(_label(observed, observed.records[name])))
    return top


def _shown(records: Mapping[str, Record]) -> Mapping[str, Record]:
    if len(records) <= MOST:
        return records
    names: dict[str, None] = {}
    for record in ranking.ranked(records.values()):
        line = (record.name, *lineage.ancestors(record.name, records))
        if len(names.keys() | set(line)) > MOST:
            break
        names.update(dict.fromkeys(line))
    return {name: records[name] for name in names}


def _mark(
    place: tuple[float, float], candidate: Candidate, record: Record, row: Row | None, *, best: bool
) -> Mark:
    status, deepest = candidate.status, row.deepest if row else None
    ended = record.phase in ("Rejected", "Failed")
    # What leads to the best is set in bold, which is wider.
    room = int((LABEL_END - place[0] - 60) / (CHARACTER * (1.13 if best else 1.0)))
    score, rung = (number(deepest.value), deepest.rung) if deepest else _why(record)
    return Mark(
        name=record.name,
        label=_ordinal(record),
        title=one_line(status.name, room),
        hint=f"{record.name}: {one_line(status.motivation or status.message, 300)}",
        x=place[0],
        y=place[1],
        shape="ended" if ended else SHAPES[record.origin],
        standing=_standing(record, row),
        score=score,
        rung=rung,
        gain=gain(row.to_baseline) if row and row.to_baseline else "",
        best=best,
    )


def _why(record: Record) -> tuple[str, str]:
    """What stands in a score's place."""
    return "", record.reason.value if record.terminal and record.reason else record.phase


def _standing(record: Record, row: Row | None) -> Standing:
    """How a candidate stands against the best baseline of its deepest rung."""
    if row is None:
        return "ended" if record.terminal else "live"
    against = row.to_baseline
    if against is None or not against.clear:
        return "level"
    return "better" if against.value > 0 else "worse"


def _path(parent: Mark, child: Mark) -> str:
    """Down from the parent, round a corner, to the child."""
    corner = min(8.0, child.x - parent.x)
    return (
        f"M{parent.x:g} {parent.y:g} V{child.y - corner:g} "
        f"Q{parent.x:g} {child.y:g} {parent.x + corner:g} {child.y:g} H{child.x:g}"
    )


def _ordinal(record: Record) -> str:
    return "" if record.ordinal < 0 else f"{record.ordinal:04d}"


STYLES: Mapping[str, str] = {"Complete": "green", "Rejected": "yellow", "Failed": "red"}


def _label(observed: Observation, record: Record) -> Text:
    status = observed.candidates[record.name].status
    measured = [r for r in status.rungs if r.score is not None]
    if record.functional and measured:
        end = f"{scored(float(measured[-1].score or 0), None)} {measured[-1].name}"
    else:
        end = " ".join(_why(record)).strip()
    name = (f"{_ordinal(record)} ", "dim" if record.origin == "Baseline" else "bold")
    return Text.assemble(name, one_line(status.name), "  ", (end, STYLES.get(record.phase, "cyan")))
