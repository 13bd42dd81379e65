"""The report of a search: one self-contained HTML page, and Markdown with its pictures beside it.

The page loads nothing from anywhere and runs no script; its own content policy forbids both.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from asiarch.api.base import instant
from asiarch.api.candidate import Candidate, Phase
from asiarch.core.comparison import Comparison, Score, compare
from asiarch.core.observation import Observation
from asiarch.core.report import Row, Summary, summarise
from asiarch.pages import text, tree, verdict
from asiarch.pages.plots import Plot, plots
from asiarch.pages.tables import file
from asiarch.pages.templates import fenced, fill, verbatim

DETAILED = 60
"""Candidates that are shown in full; the others are in the tables only."""
CAPTIONS = {
    "scores": "Scores",
    "curves": "Learning curves",
    "progress": "Best so far",
    "rungs": "Does the cheap rung predict the dear one?",
}


@dataclass(frozen=True, slots=True)
class Report:
    """A report, ready to be written."""

    html: str
    markdown: str
    pictures: Mapping[str, str] = field(default_factory=dict)
    """What the Markdown shows: SVG by file name, to be written beside it."""


@dataclass(frozen=True, slots=True)
class Detail:
    """One candidate in full."""

    candidate: Candidate
    rank: int | None
    code: str
    diff: tuple[str, ...]
    parent: str
    scores: Mapping[str, Score]

    @property
    def title(self) -> str:
        """What it is called, or its object's name."""
        return self.candidate.status.name or self.candidate.name


def render(observed: Observation, texts: Mapping[str, str], machine: Mapping[str, str]) -> Report:
    """Write the report of a search.

    `texts` holds candidates' files by digest, `machine` says in words what the search ran on and with.
    """
    summary = summarise(observed)
    drawn = plots(observed, summary)
    values = {
        "summary": summary,
        "search": observed.search,
        "sentence": verdict.sentence(summary),
        "label": verdict.label(summary),
        "scoring": [p.rung for p in summary.progress],
        "took": _took(summary),
        "counts": _counts(observed),
        "details": tuple(_details(observed, summary, texts)),
        "machine": machine,
        "captions": CAPTIONS,
        "say": text,
        "gain": verdict.gain,
        "scored": verdict.scored,
        "verbatim": verbatim,
        "fenced": fenced,
        "one_seed": all(s.seeds == 1 for row in summary.rows for s in row.scores),
    }
    lineage = verbatim(tree.svg(observed, summary, linked=True)) if observed.records else ""
    names = {plot.name: f"report-{plot.name}.svg" for plot in drawn}
    return Report(
        html=fill("report.html.j2", **values, plots=drawn, lineage=lineage),
        markdown=fill("report.md.j2", **values, plots=drawn, files=names),
        pictures=_pictures(observed, summary, drawn, names),
    )


def _pictures(
    observed: Observation, summary: Summary, drawn: tuple[Plot, ...], names: Mapping[str, str]
) -> Mapping[str, str]:
    lineage = {"report-lineage.svg": tree.svg(observed, summary)} if observed.records else {}
    return {**{names[plot.name]: plot.svg for plot in drawn}, **lineage}


def _took(summary: Summary) -> str:
    state = summary.search.status
    if state.started_at is None:
        return "not started"
    if state.finished_at is None:
        return "still running"
    return text.duration(instant(state.finished_at) - instant(state.started_at))


def _counts(observed: Observation) -> Mapping[str, int]:
    """How many candidates stand where, as this page saw them."""
    phases = [r.phase for r in observed.records.values()]
    ended = {name: phases.count(phase) for name, phase in ENDS.items()}
    return {"all": len(phases), **ended, "live": len(observed.live)}


ENDS: Mapping[str, Phase] = {"measured": "Complete", "rejected": "Rejected", "failed": "Failed"}


def _details(observed: Observation, summary: Summary, texts: Mapping[str, str]) -> Iterator[Detail]:
    """The ranked candidates, then the others in their order."""
    comparison = compare(observed)
    rows = {row.candidate: row for row in summary.rows}
    rest = sorted(
        (r for r in observed.records.values() if r.name not in rows), key=lambda r: (r.ordinal, r.name)
    )
    for name in [*rows, *(r.name for r in rest)][:DETAILED]:
        yield _detail(observed.candidates[name], rows.get(name), observed, texts, comparison)


def _detail(
    candidate: Candidate,
    row: Row | None,
    observed: Observation,
    texts: Mapping[str, str],
    comparison: Comparison,
) -> Detail:
    parent = next((observed.candidates[p] for p in candidate.spec.parents if p in observed.candidates), None)
    code, before = file(candidate, texts), file(parent, texts) if parent else ""
    return Detail(
        candidate=candidate,
        rank=row.rank if row else None,
        code=code,
        diff=text.diff(before, code) if before and code else (),
        parent=parent.name if parent else "",
        scores={r.name: comparison.score(r) for r in candidate.status.rungs if r.score is not None},
    )
