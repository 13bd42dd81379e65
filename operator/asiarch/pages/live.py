"""What `asiarch run` shows while it runs: a live picture on a terminal, else one line per change.

A view is told the moment; it reads no clock. The picture is drawn at most four times a second.
"""

from collections import deque
from typing import Protocol, TextIO, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from asiarch.api.base import Instant, instant, seconds
from asiarch.api.candidate import Candidate
from asiarch.api.search import ArchitectureSearch
from asiarch.core.budget import spent
from asiarch.core.observation import Observation
from asiarch.pages.changes import Changes
from asiarch.pages.tables import PHASE_STYLES, ranks, rule
from asiarch.pages.text import clock, count, one_line

INTERVAL = 0.25
"""Seconds between two pictures at least."""
TOP = 8
LIVE_ROWS = 12
EVENTS = 6
UNDER_WAY = ("Proposing", "Building", "Evaluating", "Analyzing")
"""Changes that the table of candidates at work shows already."""
MIN_SAMPLES = 3
"""Candidates that must have ended before the time left is estimated."""


class View(Protocol):
    """Something that is told how a search stands."""

    def show(self, observed: Observation, now: Instant) -> None:
        """Show what is new."""

    def close(self) -> None:
        """Leave the last state standing."""


class PlainView:
    """Writes one line per change: `00:41 quickstart-0009 Evaluating recall`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._changes = Changes()

    def show(self, observed: Observation, now: Instant) -> None:
        """Write what changed since the last time."""
        lines = self._changes.since(observed)
        if lines:
            elapsed = clock(now - started(observed.search, now))
            written = "".join(f"{elapsed} {name} {line}\n" for name, line in lines)
            encoding = self._stream.encoding or "utf-8"
            self._stream.write(written.encode(encoding, "replace").decode(encoding))
            self._stream.flush()

    def close(self) -> None:
        """Nothing is held back."""


class LiveView:
    """Keeps one picture of the search on a terminal."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._changes = Changes()
        self._events: deque[tuple[str, str, str]] = deque(maxlen=EVENTS)
        self._pace = Pace()
        self._since: dict[str, tuple[tuple[str, int], Instant]] = {}
        self._drawn = float("-inf")
        self._last: tuple[Observation, Instant] | None = None

    def show(self, observed: Observation, now: Instant) -> None:
        """Take in what changed, and draw when the last picture is old enough."""
        if self._last is None:
            self._live.start()
        elapsed = clock(now - started(observed.search, now))
        news = (event for event in self._changes.since(observed) if not event[1].startswith(UNDER_WAY))
        self._events.extend((elapsed, *event) for event in news)
        self._pace.note(observed, now)
        self._track(observed, now)
        self._last = observed, now
        if now - self._drawn >= INTERVAL:
            self._draw()

    def close(self) -> None:
        """Draw the last state and give the terminal back."""
        if self._last is not None:
            self._draw()
            self._live.stop()

    def _track(self, observed: Observation, now: Instant) -> None:
        """Remember since when each live candidate does what it does."""
        known, self._since = self._since, {}
        for candidate in observed.live:
            step = candidate.status.phase, candidate.status.rung
            before = known.get(candidate.name)
            self._since[candidate.name] = before if before and before[0] == step else (step, now)

    def _draw(self) -> None:
        if self._last is not None:
            observed, now = self._last
            self._drawn = now
            self._live.update(self._picture(observed, now), refresh=True)

    def _picture(self, observed: Observation, now: Instant) -> RenderableType:
        waits = {name: now - since for name, (_, since) in self._since.items()}
        return Group(
            header(observed.search, now, self._pace.left(observed, now)),
            budgets(observed, now),
            rule("at work"),
            at_work(observed, waits),
            rule("best so far"),
            ranks(observed, TOP, narrow=True),
            rule("latest"),
            *(_event(*event) for event in self._events),
        )


class Pace:
    """Estimates the time left from how fast candidates have ended since the view began."""

    def __init__(self) -> None:
        self._first: tuple[Instant, int] | None = None

    def note(self, observed: Observation, now: Instant) -> None:
        """Take the first look as the start."""
        self._first = self._first or (now, _ended(observed))

    def left(self, observed: Observation, now: Instant) -> float | None:
        """Seconds left; none before enough candidates have ended."""
        if self._first is None:
            return None
        began, ended_then = self._first
        ended = _ended(observed) - ended_then
        if ended < MIN_SAMPLES:
            return None
        spec = observed.search.spec
        missing = len(spec.baselines) + spec.budget.candidates - _ended(observed)
        return max(missing, 0) * (now - began) / ended


def view(console: Console) -> View:
    """A live picture on a terminal, else plain lines."""
    return live(console) if console.is_terminal else plain(cast("TextIO", console.file))


def live(console: Console) -> View:
    """A picture that is drawn over and over."""
    return LiveView(console)


def plain(stream: TextIO) -> View:
    """One line per change."""
    return PlainView(stream)


def started(search: ArchitectureSearch, now: Instant) -> Instant:
    """When the search began."""
    return instant(search.status.started_at) if search.status.started_at else now


def header(search: ArchitectureSearch, now: Instant, left: float | None) -> RenderableType:
    """Name, goal, seed and time."""
    times = f"seed {search.spec.seed} · {clock(now - started(search, now))}"
    if left is not None and search.status.phase == "Running":
        times += f" · about {clock(left)} left"
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    grid.add_column(justify="right", no_wrap=True)
    title = Text.assemble((search.name, "bold"), "  ", (one_line(search.spec.goal), "dim"))
    grid.add_row(title, Text(times))
    return grid


def budgets(observed: Observation, now: Instant) -> RenderableType:
    """A bar for each limit of the budget: what is used of it."""
    grid = Table.grid(padding=(0, 1))
    for _ in range(3):
        grid.add_column(no_wrap=True)
    for name, used, most, words in _limits(observed, now):
        bar = ProgressBar(total=most or 1, completed=min(used, most), width=32, complete_style="cyan")
        grid.add_row(Text(name, "dim"), bar, words)
    return grid


def _limits(observed: Observation, now: Instant) -> list[tuple[str, float, float, str]]:
    budget, cost = observed.search.spec.budget, spent(observed.records.values())
    ended = sum(r.terminal for r in observed.records.values() if r.origin != "Baseline")
    baselines = sum(r.terminal for r in observed.records.values() if r.origin == "Baseline")
    expected = len(observed.search.spec.baselines)
    rows = [
        ("baselines", float(baselines), float(expected), f"{baselines}/{expected}"),
        ("candidates", float(ended), float(budget.candidates), f"{ended}/{budget.candidates}"),
    ]
    if budget.wall_clock is not None:
        most, used = seconds(budget.wall_clock), now - started(observed.search, now)
        rows.append(("wall clock", used, most, f"{clock(used)}/{clock(most)}"))
    paid = (
        ("GPU-hours", cost.gpu_seconds / 3600, budget.gpu_hours),
        ("tokens", cost.tokens, budget.tokens),
        ("USD", cost.usd, budget.usd),
    )
    for name, used, limit in paid:
        if limit is not None:
            rows.append((name, used, float(limit), f"{count(used)}/{count(float(limit))}"))
    return rows


def at_work(observed: Observation, waits: dict[str, float]) -> RenderableType:
    """The candidates that are not at their end: where each stands and for how long."""
    grid = Table.grid(padding=(0, 2), expand=True)
    for _ in range(4):
        grid.add_column(no_wrap=True)
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for candidate in observed.live[:LIVE_ROWS]:
        status = candidate.status
        phase = Text(status.phase, PHASE_STYLES[status.phase])
        title = Text(one_line(status.name), "dim")
        grid.add_row(
            candidate.name, phase, _rung(candidate, observed), clock(waits.get(candidate.name, 0)), title
        )
    more = len(observed.live) - LIVE_ROWS
    if more > 0:
        grid.add_row(Text(f"and {more} more", "dim"))
    return grid if observed.live else Text("nobody", "dim")


def _rung(candidate: Candidate, observed: Observation) -> str:
    order = candidate.status.order
    if order is None or order.rung is None:
        return ""
    seeds = next((r.seeds for r in observed.search.spec.evaluation.ladder if r.name == order.rung), 1)
    return f"{order.rung} ×{seeds}" if seeds > 1 else order.rung


def _event(elapsed: str, name: str, line: str) -> Text:
    phase, _, rest = line.partition(" ")
    style = PHASE_STYLES.get(phase, "")
    text = Text.assemble((f"{elapsed} ", "dim"), f"{name} ", (phase, style), f" {rest}")
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _ended(observed: Observation) -> int:
    return sum(r.terminal for r in observed.records.values())
