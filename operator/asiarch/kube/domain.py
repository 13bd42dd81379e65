"""The metrics of the domain, of cost and of safety: their names, labels and buckets, in one place.

Labels are namespace, search, and values of closed lists. Never a candidate, a pod, a uid, a model's or a user's text.
"""

from functools import partial
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from asiarch.api.candidate import Phase
from asiarch.api.reason import Reason
from asiarch.api.search import SearchPhase

Stage = Literal["propose", "build", "queue", "train", "evaluate", "analyze"]
CANDIDATE_PHASES: tuple[Phase, ...] = get_args(Phase)
SEARCH_PHASES: tuple[SearchPhase, ...] = get_args(SearchPhase)
BUDGET_KINDS = ("candidates", "gpu_seconds", "tokens", "usd")
SECONDS_OF_STAGES = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 3600, 10_000)
UNKNOWN_REASON = "Unknown"
FINISHED = "Candidates that reached a terminal phase, by phase and reason."
FRONTIER = "Functional candidates that no functional candidate descends from."
STAGNATION = "Proposals that ended since the best candidate did."
STAGES = "Seconds of a stage in candidates' lives; train is one seed by the referee's clock."
BAD = {
    "Accepted": "False",
    "Ready": "False",
    "BudgetAvailable": "False",
    "Degraded": "True",
    "Failed": "True",
}
"""The status in which a condition of a search says that something is wrong."""
_REASONS = frozenset(reason.value for reason in Reason)


def reason_label(reason: str) -> str:
    """A reason as a label: what isn't one of ours is `Unknown`, so that no text from outside becomes a series."""
    return reason if reason in _REASONS else UNKNOWN_REASON


class Domain:
    """The metric families."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter, gauge = partial(_counter, registry), partial(_gauge, registry)
        place = ("namespace", "search")
        self.searches = gauge("searches", "Searches by phase.", "namespace", "phase")
        self.candidates = gauge("candidates", "Candidates by phase.", *place, "phase")
        self.created = counter("candidates_created", "Candidates that joined a search.", *place, "origin")
        self.finished = counter("candidates_finished", FINISHED, *place, "outcome", "reason")
        self.best = gauge("best_score", "Fitness of the candidate in front.", *place, "objective")
        self.frontier = gauge("frontier_size", FRONTIER, *place)
        self.generation = gauge("generation", "Length of the longest line of descent.", *place)
        self.stagnation = gauge("stagnation_candidates", STAGNATION, *place)
        self.duplicates = counter("duplicate_proposals", "Proposals that repeated a known one.", *place)
        self.budget_limit = gauge("budget_limit", "The budget, in the unit that kind names.", *place, "kind")
        self.budget_used = gauge("budget_used", "Spent of it, in the unit that kind names.", *place, "kind")
        self.gpu_seconds = counter("gpu_seconds", "GPU-seconds of training orders.", *place)
        self.tokens = counter("llm_tokens", "Tokens of agent orders.", *place)
        self.usd = counter("llm_cost_usd", "US dollars of agent orders.", *place)
        self.conditions = counter("condition", "Conditions of searches that turned bad.", "reason")
        self.invalid = counter("invalid", "Refusals of what a user wrote.", "reason")
        self.result_rejected = counter("result_rejected", "Results that were not taken.", "reason")
        self.quota_denied = counter("quota_denied", "Pods that a quota kept from starting.", "namespace")
        self.orphans = gauge("orphans", "Our objects that belong to nothing.", "kind")
        self.stages = Histogram(
            "asiarch_stage_duration_seconds", STAGES, ("stage",), buckets=SECONDS_OF_STAGES, registry=registry
        )

    @property
    def of_searches(self) -> tuple[Counter | Gauge, ...]:
        """The families with a label for the search."""
        gauges = (self.candidates, self.best, self.frontier, self.generation, self.stagnation)
        budget = (self.budget_limit, self.budget_used, self.gpu_seconds, self.tokens, self.usd)
        return (*gauges, *budget, self.created, self.finished, self.duplicates)


def _counter(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Counter:
    return Counter(f"asiarch_{name}_total", text, labels, registry=registry)


def _gauge(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"asiarch_{name}", text, labels, registry=registry)
