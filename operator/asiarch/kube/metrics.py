"""What Prometheus reads: one registry of our own, the controller's metrics and, through the census, the domain's.

Who calls what: `client` reports each call (`api_request`); `handlers` each event (`watch_event`); `store` each
full list, its size, what watches had missed and which namespaces refused (`relisted`, `stored`, `watch_missed`,
`reaches`); the worker each turn (`reconciled`) and the times that the work queue
tells it (`waited`, `worked`), after `watch_queue` was told of the queue; the world what it refuses or meets
(`result_rejected`, `quota_denied`, `invalid`, `orphans`, `stage("queue", …)`); a turn what it saw (`see`), and whoever
learns that a search is gone, that (`forget`). A metric that nobody feeds has no series.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from asiarch.core.observation import Observation
from asiarch.kube.census import Census
from asiarch.kube.domain import Stage, reason_label

Outcome = Literal["success", "error", "requeue", "requeue_after"]
Fate = Literal["posted", "failed", "limited", "dropped"]
SECONDS_OF_TURNS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SECONDS_OF_CALLS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SECONDS_OF_LAG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SECONDS_IN_QUEUE = (0.001, 0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600)


@dataclass(frozen=True, slots=True)
class Build:
    """Which build this is."""

    version: str
    revision: str
    python: str
    kopf: str


class Queue(Protocol):
    """What a work queue knows of itself."""

    adds: int
    retries: int

    @property
    def depth(self) -> int:
        """Keys that wait for a worker."""

    @property
    def unfinished(self) -> tuple[float, ...]:
        """Seconds of work of each key that is worked on."""


class Metrics:
    """Every metric of the operator; no call blocks or raises for what it is told."""

    def __init__(self, build: Build) -> None:
        # The time of birth beside each counter would double the number of series.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("asiarch_build", "Which build this is.", registry=registry).info(
            {"version": build.version, "revision": build.revision, "python": build.python, "kopf": build.kopf}
        )
        self._census = Census(registry)
        self._queues = _Queues()
        registry.register(self._queues)
        self._leader = Gauge("asiarch_leader", "Whether this process acts, or stands by.", registry=registry)
        self._turns = self._counter("reconcile", "Turns by result.", "controller", "result")
        self._turn_seconds = self._histogram("reconcile_duration", "Seconds of a turn.", SECONDS_OF_TURNS)
        self._waits = self._histogram(
            "workqueue_queue_duration", "Seconds that a key waited.", SECONDS_IN_QUEUE, "name"
        )
        self._work = self._histogram(
            "workqueue_work_duration", "Seconds that a key was worked on.", SECONDS_OF_TURNS, "name"
        )
        self._begin_watching()
        self._calls = self._counter(
            "api_requests", "Calls to the API server; code 0: no answer came.", "verb", "resource", "code"
        )
        self._call_seconds = self._histogram(
            "api_request_duration", "Seconds of a call to the API server.", SECONDS_OF_CALLS, "verb"
        )
        self._events = self._counter("events", "Kubernetes events by what became of them.", "result")
        self._lag = Histogram(
            "asiarch_event_loop_lag_seconds",
            "Seconds by which the event loop was late.",
            buckets=SECONDS_OF_LAG,
            registry=registry,
        )

    def _begin_watching(self) -> None:
        """Metrics of what lists and watches bring."""
        self._last_event = self._gauge(
            "watch_last_event_timestamp_seconds", "When an event last came.", "kind"
        )
        self._objects = self._gauge("store_objects", "Objects in the store.", "kind")
        self._relists = self._counter("store_relist", "Full lists that replaced the store's content.", "kind")
        self._missed = self._counter(
            "watch_missed", "Full lists that brought what a silent watch had not.", "kind"
        )
        self._unreachable = self._gauge(
            "namespace_unreachable", "Whether a watched namespace refuses to be listed.", "namespace"
        )

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics in the format that `accept` asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def see(self, seen: Observation, namespace: str) -> None:
        """Bring the domain's metrics in step with what a turn observed."""
        self._census.see(seen, namespace)

    def forget(self, namespace: str, search: str) -> None:
        """Remove the series of a search that is gone."""
        self._census.forget(namespace, search)

    def reconciled(self, controller: str, result: Outcome, seconds: float) -> None:
        """Count a turn."""
        self._turns.labels(controller, result).inc()
        self._turn_seconds.labels(controller).observe(seconds)

    def watch_queue(self, name: str, queue: Queue) -> None:
        """Ask this queue for its state at each scrape."""
        self._queues.known[name] = queue

    def waited(self, queue: str, seconds: float) -> None:
        """Take note of how long a key waited in a queue."""
        self._waits.labels(queue).observe(seconds)

    def worked(self, queue: str, seconds: float) -> None:
        """Take note of how long a key of a queue was worked on."""
        self._work.labels(queue).observe(seconds)

    def late(self, seconds: float) -> None:
        """Take note of by how much the event loop was late."""
        self._lag.observe(seconds)

    def watch_event(self, kind: str, moment: float) -> None:
        """Take note of when an event came, in seconds since 1970."""
        self._last_event.labels(kind).set(moment)

    def stored(self, kind: str, objects: int) -> None:
        """Take note of how many objects the store holds."""
        self._objects.labels(kind).set(objects)

    def relisted(self, kind: str) -> None:
        """Count a full list that replaced the store's content."""
        self._relists.labels(kind).inc()

    def watch_missed(self, kind: str) -> None:
        """Count a full list that brought what a silent watch had not."""
        self._missed.labels(kind).inc()

    def reaches(self, namespace: str, *, reachable: bool) -> None:
        """Take note of whether one of the watched namespaces can be listed; `*` is all of them at once."""
        self._unreachable.labels(namespace).set(not reachable)

    def api_request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Take note of one call to the API server; `code` 0 says that no answer came."""
        self._calls.labels(verb, resource, str(code)).inc()
        self._call_seconds.labels(verb).observe(seconds)

    def leads(self, *, leader: bool) -> None:
        """Say whether this process acts, or stands by."""
        self._leader.set(leader)

    def event(self, fate: Fate) -> None:
        """Count what became of a Kubernetes event."""
        self._events.labels(fate).inc()

    def stage(self, stage: Stage, seconds: float) -> None:
        """Take note of how long a stage took that candidates' own timestamps don't tell."""
        self._census.domain.stages.labels(stage).observe(seconds)

    def invalid(self, reason: str) -> None:
        """Count a refusal of what a user wrote, beside those that are troubles of an observation."""
        self._census.domain.invalid.labels(reason_label(reason)).inc()

    def result_rejected(self, reason: str) -> None:
        """Count a result that was not taken."""
        self._census.domain.result_rejected.labels(reason_label(reason)).inc()

    def quota_denied(self, namespace: str) -> None:
        """Count a pod that a quota kept from starting."""
        self._census.domain.quota_denied.labels(namespace).inc()

    def queued(self, seconds: float) -> None:
        """Take note of how long an order waited for its pod to start."""
        self.stage("queue", seconds)

    def orphans(self, kind: str, objects: int) -> None:
        """Take note of how many of our objects belong to nothing."""
        self._census.domain.orphans.labels(kind).set(objects)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"asiarch_{name}_total", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"asiarch_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], label: str = "controller"
    ) -> Histogram:
        return Histogram(f"asiarch_{name}_seconds", text, (label,), buckets=buckets, registry=self.registry)


class _Queues(Collector):
    """Asks the work queues at each scrape, so that they count for themselves."""

    def __init__(self) -> None:
        self.known: dict[str, Queue] = {}

    def collect(self) -> Iterator[Metric]:
        """Yield the families of all queues."""
        adds = CounterMetricFamily("asiarch_workqueue_adds", "Keys that were added.", labels=["name"])
        retries = CounterMetricFamily("asiarch_workqueue_retries", "Keys that failed.", labels=["name"])
        depth = GaugeMetricFamily("asiarch_workqueue_depth", "Keys that wait.", labels=["name"])
        unfinished = GaugeMetricFamily(
            "asiarch_workqueue_unfinished_work_seconds", "Seconds of work under way, summed.", labels=["name"]
        )
        longest = GaugeMetricFamily(
            "asiarch_workqueue_longest_running_processor_seconds", "The longest of them.", labels=["name"]
        )
        for name, queue in self.known.items():
            work = queue.unfinished
            adds.add_metric([name], queue.adds)
            retries.add_metric([name], queue.retries)
            depth.add_metric([name], queue.depth)
            unfinished.add_metric([name], sum(work))
            longest.add_metric([name], max(work, default=0.0))
        yield from (adds, retries, depth, unfinished, longest)
