"""What became different between two looks at a search, one line each: the plain log and the live view's last events."""

from collections.abc import Callable, Iterator, Mapping

from asiarch.api.candidate import Candidate, Lesson, Phase
from asiarch.api.search import ArchitectureSearch
from asiarch.core.comparison import best_baselines, scores
from asiarch.core.observation import TERMINAL, Observation
from asiarch.pages.text import number, one_line

WIDTH = 160


class Changes:
    """Remembers the last look, so that the next one tells only what is new."""

    def __init__(self) -> None:
        self._candidates: Mapping[str, Candidate] | None = None
        self._search: ArchitectureSearch | None = None

    def since(self, observed: Observation) -> list[tuple[str, str]]:
        """Name and line of each thing that changed, in ordinal order; what ended before the first look is summed up."""
        seen, search = self._candidates, self._search
        self._candidates, self._search = dict(observed.candidates), observed.search
        if seen is None:
            seen = {name: c for name, c in observed.candidates.items() if c.status.phase in TERMINAL}
        changed = [c for name, c in observed.candidates.items() if seen.get(name) is not c]
        changed.sort(key=lambda c: (c.status.ordinal is None, c.status.ordinal, c.name))
        lines = [(c.name, line) for c in changed for line in _lines(seen.get(c.name), c, observed)]
        return [*_begin(search, observed, len(seen)), *lines, *_end(search, observed)]


def _begin(before: ArchitectureSearch | None, observed: Observation, ended: int) -> Iterator[tuple[str, str]]:
    if before is None:
        spec = observed.search.spec
        again = f", goes on after {ended} that have ended" if ended else ""
        total = f"{len(spec.baselines)} baselines and {spec.budget.candidates} candidates"
        yield observed.search.name, f"Running seed {spec.seed}, {total}{again}"


def _end(before: ArchitectureSearch | None, observed: Observation) -> Iterator[tuple[str, str]]:
    status = observed.search.status
    if (before is None or before.status.phase != status.phase) and status.phase != "Running":
        best = (
            f"best {status.best.candidate} {number(float(status.best.fitness))}" if status.best else "no best"
        )
        yield observed.search.name, f"{status.phase} {status.reason.value} {best}: {one_line(status.message)}"


def _lines(before: Candidate | None, now: Candidate, observed: Observation) -> Iterator[str]:
    old, status = before.status if before else None, now.status
    if old is None or (old.phase, old.rung) != (status.phase, status.rung) or old.repairs != status.repairs:
        say = SAY.get(status.phase)
        if say:
            yield f"{status.phase} {say(now, observed)}".rstrip()
    elif old.order is not None and status.lost > old.lost:
        yield f"{status.phase} lost attempt {status.lost}, tries again"
    if status.lesson and (old is None or old.lesson is None):
        yield f"Lesson {lesson(status.lesson)}"


def lesson(taught: Lesson) -> str:
    """One line of what was learnt."""
    return f"{float(taught.delta):+.3f} {one_line(taught.claim, WIDTH)}"


def _title(candidate: Candidate, _: Observation) -> str:
    return f'"{one_line(candidate.status.name)}"' if candidate.status.name else ""


def _evaluating(candidate: Candidate, observed: Observation) -> str:
    ladder, rung = observed.search.spec.evaluation.ladder, candidate.status.rung
    name = ladder[min(rung, len(ladder) - 1)].name
    return f"{name} {_title(candidate, observed)}" if rung == 0 else name


def _analyzing(candidate: Candidate, _: Observation) -> str:
    rung, value = _deepest(candidate)
    return f"score {number(value)} on {rung}" if rung else ""


def _complete(candidate: Candidate, observed: Observation) -> str:
    rung, value = _deepest(candidate)
    if not rung:
        return ""
    line = f"score {number(value)} on {rung}"
    if candidate.spec.origin == "Baseline":
        return f"{line} {_title(candidate, observed)}"
    baseline = best_baselines(observed).get(rung)
    return line if baseline is None else f"{line} (best baseline {number(scores(baseline)[rung])})"


def _deepest(candidate: Candidate) -> tuple[str, float]:
    """The deepest rung that was scored and its score; no name when there is none."""
    return next(reversed(scores(candidate).items()), ("", 0.0))


def _reason(candidate: Candidate, _: Observation) -> str:
    status = candidate.status
    return f"{status.reason.value if status.reason else 'Unknown'}: {one_line(status.message, WIDTH)}"


SAY: Mapping[Phase, Callable[[Candidate, Observation], str]] = {
    "Proposing": lambda candidate, _: f"from {', '.join(candidate.spec.parents) or 'nothing'}",
    "Building": _title,
    "Evaluating": _evaluating,
    "Repairing": _reason,
    "Analyzing": _analyzing,
    "Complete": _complete,
    "Rejected": _reason,
    "Failed": _reason,
}
