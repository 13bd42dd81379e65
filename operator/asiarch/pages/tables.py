"""Tables for the terminal: how a search stands, its ranks, and one candidate in full."""

from collections.abc import Mapping, Sequence

from rich.console import Group, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from asiarch.api.base import Instant, instant
from asiarch.api.candidate import Candidate, RungResult
from asiarch.core.comparison import Comparison, compare
from asiarch.core.observation import Observation
from asiarch.core.report import Row, failures, leaderboard, summarise
from asiarch.pages.chart import braille
from asiarch.pages.text import clean, count, diff, duration, number, one_line
from asiarch.pages.verdict import gain, scored, sentence

PHASE_STYLES: Mapping[str, str] = {
    "Pending": "dim",
    "Proposing": "magenta",
    "Building": "blue",
    "Evaluating": "cyan",
    "Repairing": "yellow",
    "Analyzing": "magenta",
    "Complete": "green",
    "Rejected": "yellow",
    "Failed": "red",
    "Running": "cyan",
    "Suspended": "yellow",
    "Lesson": "magenta",
}


COLUMNS: tuple[tuple[str, JustifyMethod], ...] = (
    ("#", "right"),
    ("candidate", "left"),
    ("rung", "left"),
    ("score ±95 %", "left"),
    ("vs baseline", "right"),
    ("vs parent", "right"),
    ("params", "right"),
)
NARROW = 5
"""Columns that a small view has beside the title."""


def ranks(observed: Observation, top: int | None = None, *, narrow: bool = False) -> RenderableType:
    """The leaderboard: deepest rung first, then fitness."""
    rows = [_rank(row) for row in leaderboard(observed, top)]
    if not rows:
        return Text("nothing measured to its end yet", "dim")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    columns = COLUMNS[:NARROW] if narrow else COLUMNS
    for i, (name, justify) in enumerate(columns):
        # Only the title may give way on a small terminal.
        width = max(len(name), *(row[i].cell_len for row in rows))
        table.add_column(name, justify=justify, no_wrap=True, min_width=width)
    table.add_column("what it is", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        table.add_row(*row[: len(columns)], row[-1])
    return table


def _rank(row: Row) -> tuple[Text, ...]:
    last, against = row.deepest, row.to_baseline
    quiet = "dim" if row.origin == "Baseline" else ""
    rung = "" if last is None else last.rung + (f" ×{last.seeds}" if last.seeds > 1 else "")
    style = "green" if against and against.clear and against.value > 0 else "dim"
    return (
        Text(str(row.rank)),
        Text(row.candidate, quiet or "bold"),
        Text(rung),
        Text("" if last is None else scored(last.value, last.half)),
        Text(gain(against), style),
        Text(gain(row.to_parent), "dim"),
        Text("" if last is None else count(last.parameters)),
        Text(one_line(row.title) + (" (baseline)" if quiet else ""), quiet),
    )


def status(observed: Observation, now: Instant) -> RenderableType:
    """How a search stands: verdict, counts, ranks, who is at work, what failed."""
    search, records = observed.search, observed.records.values()
    state = search.status
    until = instant(state.finished_at) if state.finished_at else now
    took = duration(until - instant(state.started_at)) if state.started_at else "not started"
    ended = sum(r.terminal for r in records)
    summary = summarise(observed)
    phase = state.phase, PHASE_STYLES.get(state.phase, "")
    head = Text.assemble((search.name, "bold"), "  ", phase, f" ({state.reason.value})  {took}")
    rejected = sum(r.phase == "Rejected" for r in records)
    failed = sum(r.phase == "Failed" for r in records)
    counts = f"{len(records)} candidates, {ended} ended, {rejected} rejected, {failed} failed"
    message = [Text(one_line(state.message), "dim")] if state.message else []
    lines = [head, *message, Text(counts), Text(sentence(summary), "bold")]
    return Group(*lines, "", ranks(observed), "", failed_table(observed))


def failed_table(observed: Observation) -> RenderableType:
    """Why candidates ended without a score."""
    rows = failures(observed)
    if not rows:
        return Text("no candidate was rejected or failed", "dim")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("ended as", no_wrap=True)
    table.add_column("count", justify="right")
    table.add_column("for example", no_wrap=True)
    table.add_column("in its words", ratio=1)
    for row in rows:
        reason, message = Text(row.reason, PHASE_STYLES[row.phase]), Text(one_line(row.message, 200))
        table.add_row(reason, str(len(row.candidates)), row.examples[0], message)
    return table


def candidate(observed: Observation, name: str, texts: Mapping[str, str]) -> RenderableType:
    """One candidate in full; `texts` holds files by digest. Raises KeyError for an unknown name."""
    shown = observed.candidates[name]
    parent = next((observed.candidates[p] for p in shown.spec.parents if p in observed.candidates), None)
    code, before = file(shown, texts), file(parent, texts) if parent else ""
    parts: list[RenderableType] = [_head(shown)]
    parts += _section("idea", shown.status.motivation) + _section("recipe", shown.status.recipe)
    parts += _measured(shown.status.rungs, compare(observed))
    parts += _section("analysis", shown.status.analysis) + _section("lesson", _lesson(shown))
    if parent is not None and code and before:
        parts += [rule(f"difference to {parent.name}"), _diff(diff(before, code))]
    if code:
        parts += [rule("code"), Syntax(clean(code), "python", theme="ansi_dark", background_color="default")]
    return Group(*parts)


def file(shown: Candidate, texts: Mapping[str, str]) -> str:
    """A candidate's file, empty when it has none or it isn't stored."""
    return texts.get(shown.status.code.digest, "") if shown.status.code else ""


def _head(shown: Candidate) -> RenderableType:
    state, spec = shown.status, shown.spec
    reason = f" ({state.reason.value})" if state.reason else ""
    first = Text.assemble(
        (shown.name, "bold"),
        "  ",
        one_line(state.name),
        "  ",
        (state.phase + reason, PHASE_STYLES[state.phase]),
    )
    facts = [
        ("origin", spec.origin),
        ("parents", ", ".join(spec.parents) or "none"),
        ("references", ", ".join(spec.references) or "none"),
        ("lessons used", ", ".join(state.uses) or "none"),
        ("blocks", " ".join(state.tags) or "none"),
        ("file", f"{state.code.digest[:12]} revision {state.code.revision}" if state.code else "none"),
        ("cost", f"{duration(state.cost.seconds)}, {state.cost.tokens} tokens, {state.cost.usd:.2f} USD"),
        ("isolation", ", ".join(one_line(i) for i in state.isolation) or "none recorded"),
    ]
    grid = Table.grid(padding=(0, 2))
    for key, value in facts:
        grid.add_row(Text(key, "dim"), Text(value))
    message = [Text(one_line(state.message), "yellow")] if state.message else []
    return Group(first, *message, grid)


def _measured(rungs: Sequence[RungResult], comparison: Comparison) -> list[RenderableType]:
    return [part for rung in rungs for part in (rule(f"rung {rung.name}"), *_rung(rung, comparison))]


def _rung(rung: RungResult, comparison: Comparison) -> list[RenderableType]:
    found = comparison.score(rung)
    line = f"{duration(rung.seconds)}, {rung.parameters:,} parameters"
    if rung.score is not None:
        seeds = f"{found.seeds} seed{'s' if found.seeds > 1 else ''}"
        line = f"score {scored(found.value, found.half)}, loss {number(found.loss)} nats a token, {seeds}, {line}"
    parts: list[RenderableType] = [Text(line)]
    if rung.metrics:
        parts.append(Text("  ".join(f"{one_line(k)} {v}" for k, v in sorted(rung.metrics.items())), "dim"))
    if len(rung.curve) > 1:
        points = [(float(step), float(loss)) for step, loss in rung.curve]
        chart = braille(points, "training loss as the player claims it, over steps")
        parts.append(Padding(Text(chart, "cyan"), (0, 0, 0, 2)))
    return parts


def _section(title: str, words: str) -> list[RenderableType]:
    return [rule(title), Text(clean(words))] if words else []


def _lesson(shown: Candidate) -> str:
    taught = shown.status.lesson
    if taught is None:
        return ""
    return f"{taught.claim}\n{taught.delta} [{taught.low}, {taught.high}] for {' '.join(taught.scope)}"


def _diff(lines: Sequence[str]) -> Text:
    styles = {"+": "green", "-": "red", "@": "cyan"}
    text = Text()
    for line in lines:
        text.append(line + "\n", styles.get(line[:1], "dim"))
    return text if lines else Text("the same text", "dim")


def rule(title: str) -> Rule:
    """A quiet heading."""
    return Rule(Text(title, "dim"), style="dim", align="left")
