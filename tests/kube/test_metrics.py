"""Metrics by Prometheus' conventions, derived from what is seen, each thing counted once, none without a ceiling."""

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from asiarch.api.base import timestamp
from asiarch.api.candidate import Candidate
from asiarch.api.meta import Condition, Metadata
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Best, Budget, Cost, Counts, SearchStatus
from asiarch.core.observation import Observation, Trouble
from asiarch.kube.census import MOST_SEARCHES
from asiarch.kube.metrics import Build, Metrics
from asiarch.kube.queue import WorkQueue
from tests.builders import T0, a_candidate, a_result, a_search, an_observation

LABELS = {
    "namespace", "search", "phase", "origin", "outcome", "reason", "objective", "kind", "stage", "role", "model",
    "controller", "result", "name", "verb", "resource", "code", "le", "version", "revision", "python", "kopf",
}  # fmt: skip
UNITS = ("_seconds", "_bytes", "_total", "_ratio", "_info")
WITHOUT_UNIT = {
    "asiarch_searches", "asiarch_candidates", "asiarch_best_score", "asiarch_frontier_size", "asiarch_generation",
    "asiarch_stagnation_candidates", "asiarch_budget_limit", "asiarch_budget_used", "asiarch_orphans",
    "asiarch_store_objects", "asiarch_leader", "asiarch_workqueue_depth", "asiarch_namespace_unreachable",
}  # fmt: skip


def a_metrics() -> Metrics:
    return Metrics(Build(version="0.1.0", revision="abc", python="3.11", kopf="1.45.2"))


def families(metrics: Metrics) -> list[Metric]:
    text = metrics.exposition()[0].decode()
    return list(text_string_to_metric_families(text))


def samples(metrics: Metrics) -> list[Sample]:
    return [sample for family in families(metrics) for sample in family.samples]


def value(metrics: Metrics, name: str, /, **labels: str) -> float | None:
    """The sum of the samples of this name with at least these labels; none when there are none."""
    found = [
        s.value
        for s in samples(metrics)
        if s.name == f"asiarch_{name}" and labels.items() <= s.labels.items()
    ]
    return sum(found) if found else None


def numbers(metrics: Metrics, *names: str) -> tuple[float | None, ...]:
    return tuple(value(metrics, name) for name in names)


def busy(metrics: Metrics) -> Metrics:
    """Feed every metric there is."""
    metrics.see(an_observation(a_search()), "team")
    cost = Cost(gpu_seconds=3.5, tokens=100, usd=0.25)
    known = [
        a_candidate(0, origin="Baseline", cost=cost),
        a_candidate(1, parents=["s-0000"], resamples=1),
        a_candidate(2, phase="Rejected", reason=Reason.DUPLICATE),
    ]
    status = SearchStatus(
        started_at=timestamp(T0),
        best=Best(candidate="s-0000", rung="recall", fitness="0.7"),
        conditions=(a_condition("Ready", "False", "SourceNotFound"),),
    )
    trouble = Trouble(Reason.SOURCE_NOT_FOUND, "ConfigMap papers not found.", fatal=True)
    metrics.see(seen(a_search(status=status), *known, troubles=(trouble,)), "team")
    metrics.watch_queue("searches", WorkQueue(time.monotonic))
    metrics.reconciled("search", "success", 0.02)
    metrics.waited("searches", 0.01)
    metrics.worked("searches", 0.02)
    metrics.watch_event("jobs", T0)
    metrics.stored("jobs", 3)
    metrics.relisted("jobs")
    metrics.watch_missed("jobs")
    metrics.reaches("team", reachable=False)
    metrics.api_request("GET", "jobs", 200, 0.01)
    metrics.leads(leader=True)
    metrics.event("posted")
    metrics.stage("queue", 12.0)
    metrics.invalid("ConfigInvalid")
    metrics.result_rejected("ProtocolError")
    metrics.quota_denied("team")
    metrics.orphans("jobs", 0)
    return metrics


def seen(
    search: ArchitectureSearch, *candidates: Candidate, troubles: tuple[Trouble, ...] = ()
) -> Observation:
    plain = an_observation(search, *candidates)
    return Observation(search, plain.candidates, plain.records, plain.children, troubles=troubles)


def a_condition(kind: str, status: Any, reason: str = "Running", at: float = T0) -> Condition:
    return Condition(type=kind, status=status, reason=reason, last_transition_time=timestamp(at))


def test_names_and_units_keep_the_conventions() -> None:
    ours = [f for f in families(busy(a_metrics())) if not f.name.startswith("process_")]
    assert len(ours) > 35
    for family in ours:
        name = family.name + ("_total" if family.type == "counter" else "")
        assert re.fullmatch(r"asiarch_[a-z_]+[a-z]", name)
        assert name.endswith(UNITS) or name in WITHOUT_UNIT, name
        assert family.documentation.endswith("."), name
        assert family.samples, f"{name} has no series although everything was fed"


def test_what_nobody_fed_has_no_series() -> None:
    collected = (sample for family in a_metrics().registry.collect() for sample in family.samples)
    fed = {sample.name for sample in collected if sample.name.startswith("asiarch_")}
    lag = {f"asiarch_event_loop_lag_seconds_{of}" for of in ("bucket", "count", "sum")}
    assert fed == {"asiarch_build_info", "asiarch_leader", *lag}


def test_labels_are_a_closed_set_and_name_no_candidate() -> None:
    found = samples(busy(a_metrics()))
    assert {label for s in found for label in s.labels} <= LABELS
    values = {text for s in found for text in s.labels.values()}
    assert not [text for text in values if text.startswith("s-0")]


def test_openmetrics_is_spoken_too() -> None:
    body, content_type = busy(a_metrics()).exposition("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert list(parse_openmetrics(body.decode()))  # type: ignore[no-untyped-call]


def test_a_reason_that_is_not_ours_is_no_label() -> None:
    metrics = a_metrics()
    metrics.result_rejected("rm -rf 'everything'")
    assert value(metrics, "result_rejected_total", reason="Unknown") == 1


def test_gauges_show_what_is_seen() -> None:
    metrics = a_metrics()
    status = SearchStatus(
        started_at=timestamp(T0),
        best=Best(candidate="s-0001", rung="recall", fitness="0.75"),
        counts=Counts(proposed=4),
        cost=Cost(gpu_seconds=900),
    )
    search = a_search(status=status, budget=Budget(candidates=12, gpu_hours="2", usd="10"))
    candidates = [
        a_candidate(0, origin="Baseline"),
        a_candidate(1, parents=["s-0000"], cost=Cost(gpu_seconds=1800, tokens=5, usd=1.5)),
        a_candidate(2, parents=["s-0001"]),
        a_candidate(3, parents=["s-0001"], phase="Rejected", reason=Reason.DIVERGED),
        a_candidate(4, parents=["s-0002"], phase="Building"),
    ]
    metrics.see(an_observation(search, *candidates), "team")
    phases = ("Complete", "Rejected", "Building", "Failed")
    assert [value(metrics, "candidates", phase=phase) for phase in phases] == [3, 1, 1, 0]
    assert numbers(metrics, "best_score", "generation", "frontier_size") == (0.75, 3, 1)
    assert value(metrics, "stagnation_candidates") == 2
    assert value(metrics, "budget_limit", kind="gpu_seconds") == 7200
    assert value(metrics, "budget_limit", kind="tokens") is None
    assert value(metrics, "budget_used", kind="gpu_seconds") == 1800
    assert value(metrics, "budget_used", kind="candidates") == 4
    assert value(metrics, "searches", namespace="team", phase="Running") == 1
    metrics.see(an_observation(a_search()), "team")
    assert value(metrics, "best_score") is None
    assert value(metrics, "budget_limit", kind="usd") is None


def test_what_was_there_before_the_process_is_not_counted() -> None:
    metrics = a_metrics()
    old = a_candidate(0, cost=Cost(tokens=100), resamples=2)
    metrics.see(an_observation(a_search(), old), "team")
    counters = ("candidates_created_total", "candidates_finished_total", "llm_tokens_total")
    assert numbers(metrics, *counters, "duplicate_proposals_total") == (None,) * 4


def test_each_transition_counts_once_however_often_it_is_seen() -> None:
    metrics = a_metrics()
    metrics.see(an_observation(a_search()), "team")
    early, late = (
        a_candidate(0, phase="Building", cost=Cost(tokens=10)),
        a_candidate(0, phase="Failed", reason=Reason.REPAIR_EXHAUSTED, cost=Cost(tokens=30), resamples=1),
    )
    for candidate in (early, early, late, late, early, late):
        metrics.see(an_observation(a_search(), candidate), "team")
    for _ in range(2):
        metrics.see(an_observation(a_search()), "team")
        metrics.see(an_observation(a_search(), late), "team")
    assert value(metrics, "candidates_created_total", origin="Proposed") == 1
    assert value(metrics, "candidates_finished_total", outcome="Failed", reason="RepairExhausted") == 1
    assert numbers(metrics, "llm_tokens_total", "duplicate_proposals_total") == (30, 1)


def test_a_user_s_candidate_is_counted_when_it_gets_its_number() -> None:
    metrics = a_metrics()
    metrics.see(an_observation(a_search()), "team")
    plain = a_candidate(1, name="mine", origin="User", phase="Pending")
    fresh = plain.model_copy(update={"status": plain.status.model_copy(update={"ordinal": None})})
    metrics.see(an_observation(a_search(), fresh), "team")
    assert value(metrics, "candidates_created_total") is None
    numbered = a_candidate(1, name="mine", origin="User", phase="Building")
    for candidate in (numbered, fresh, numbered):
        metrics.see(an_observation(a_search(), candidate), "team")
    assert value(metrics, "candidates_created_total", origin="User") == 1


def test_money_and_gpus_are_counted_by_difference() -> None:
    metrics = a_metrics()
    metrics.see(an_observation(a_search(), a_candidate(0, phase="Building")), "team")
    for used in (1.0, 2.5, 2.0, 4.0):
        cost = Cost(gpu_seconds=used, usd=used / 10)
        metrics.see(an_observation(a_search(), a_candidate(0, phase="Building", cost=cost)), "team")
    assert numbers(metrics, "gpu_seconds_total", "llm_cost_usd_total") == (4.0, pytest.approx(0.4))


def test_a_removed_candidate_leaves_the_gauges_and_stays_in_the_counters() -> None:
    metrics = a_metrics()
    metrics.see(an_observation(a_search()), "team")
    metrics.see(an_observation(a_search(), a_candidate(0), a_candidate(1)), "team")
    metrics.see(an_observation(a_search(), a_candidate(1)), "team")
    assert value(metrics, "candidates", phase="Complete") == 1
    assert value(metrics, "candidates_finished_total", reason="Complete") == 2


def test_stages_come_from_the_candidate_s_own_timestamps() -> None:
    metrics = a_metrics()
    metrics.see(an_observation(a_search(), a_candidate(1, phase="Building")), "team")
    times = {"Proposed": 20.0, "Built": 50.0, "Evaluated": 170.0}
    conditions = tuple(a_condition(kind, "True", at=T0 + at) for kind, at in times.items())
    rungs = (a_result("gates", None, seconds=3.0), a_result(seconds=120.0, seeds=("0.7", "0.7")))
    done = a_candidate(1, rungs=rungs, conditions=conditions)
    for _ in range(2):
        metrics.see(an_observation(a_search(), done), "team")
    names = ("propose", "build", "evaluate", "train")
    total = {name: value(metrics, "stage_duration_seconds_sum", stage=name) for name in names}
    assert total == {"propose": 10, "build": 30, "evaluate": 120, "train": 63}
    assert value(metrics, "stage_duration_seconds_count", stage="train") == 2
    assert value(metrics, "stage_duration_seconds_count", stage="analyze") is None


def test_a_condition_counts_each_time_it_turns_bad() -> None:
    metrics = a_metrics()
    good = a_search(status=SearchStatus(conditions=(a_condition("Ready", "True"),)))
    bad = a_search(status=SearchStatus(conditions=(a_condition("Ready", "False", "SourceNotFound"),)))
    for search in (good, bad, bad, good, bad):
        metrics.see(an_observation(search), "team")
    assert value(metrics, "condition_total", reason="SourceNotFound") == 2


def test_a_trouble_that_a_user_made_counts_when_it_comes_up() -> None:
    metrics = a_metrics()
    troubles = (Trouble(Reason.SOURCE_INVALID, "…", fatal=True), Trouble(Reason.FORBIDDEN, "…", fatal=False))
    for _ in range(3):
        metrics.see(seen(a_search(), troubles=troubles), "team")
    assert value(metrics, "invalid_total", reason="SourceInvalid") == 1
    assert value(metrics, "invalid_total", reason="Forbidden") is None


def test_a_deleted_search_leaves_no_series() -> None:
    metrics = a_metrics()
    before = len(samples(metrics))
    metrics.see(an_observation(a_search()), "team")
    metrics.see(an_observation(a_search(), a_candidate(0), a_candidate(1)), "team")
    metrics.forget("team", "s")
    metrics.forget("team", "s")
    assert len(samples(metrics)) - before == sum(s.name.startswith("asiarch_stage") for s in samples(metrics))


def test_of_two_searches_of_one_name_only_the_deleted_one_goes() -> None:
    metrics = a_metrics()
    for namespace in ("team", "other-team"):
        metrics.see(an_observation(a_search(), a_candidate(0)), namespace)
    metrics.forget("team", "s")
    assert value(metrics, "candidates", namespace="team") is None
    assert value(metrics, "candidates", namespace="other-team", phase="Complete") == 1


def test_the_searches_beyond_the_ceiling_are_summed_up() -> None:
    metrics = a_metrics()
    for number in range(MOST_SEARCHES + 3):
        metrics.see(
            an_observation(named(f"s{number}"), a_candidate(0), a_candidate(1, phase="Building")), "team"
        )
    labels = {s.labels["search"] for s in samples(metrics) if "search" in s.labels}
    assert len(labels) == MOST_SEARCHES + 1
    others = {"search": "other", "phase": "Complete"}
    assert value(metrics, "candidates", **others) == 3
    assert value(metrics, "generation", search="other") is None
    assert value(metrics, "searches", phase="Running") == MOST_SEARCHES + 3
    last = named(f"s{MOST_SEARCHES}", budget=Budget(candidates=12, usd="5"))
    metrics.see(an_observation(last, a_candidate(0), a_candidate(1)), "team")
    assert value(metrics, "candidates", **others) == 4
    assert value(metrics, "budget_limit", search="other", kind="usd") == 5
    metrics.see(an_observation(named(f"s{MOST_SEARCHES}")), "team")
    assert value(metrics, "budget_limit", search="other", kind="usd") == 0
    metrics.forget("team", f"s{MOST_SEARCHES + 1}")
    assert value(metrics, "candidates", **others) == 1
    metrics.forget("team", "s0")
    metrics.see(an_observation(named("newcomer")), "team")
    assert value(metrics, "candidates", search="newcomer", phase="Complete") == 0


def named(name: str, **spec: Any) -> ArchitectureSearch:
    return a_search(**spec).model_copy(update={"metadata": Metadata(name=name)})


def test_a_queue_is_asked_at_each_scrape() -> None:
    now = [100.0]
    queue: WorkQueue[str] = WorkQueue(lambda: now[0])
    metrics = a_metrics()
    metrics.watch_queue("searches", queue)
    queue.add("a")
    queue.add("b")
    assert numbers(metrics, "workqueue_depth", "workqueue_adds_total") == (2, 2)
    assert value(metrics, "workqueue_unfinished_work_seconds", name="searches") == 0


class Looked(Mapping[str, Any]):
    """A mapping that tells how often something in it was looked up, and all of it gone through."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = content
        self.looks = self.passes = 0

    def __getitem__(self, key: str) -> Any:
        self.looks += 1
        return self.content[key]

    def __iter__(self) -> Iterator[str]:
        self.passes += 1
        return iter(self.content)

    def __len__(self) -> int:
        return len(self.content)


def test_what_did_not_change_is_gone_through_once_and_no_candidate_is_opened() -> None:
    metrics = a_metrics()
    before = an_observation(a_search(), *(a_candidate(i) for i in range(200)))
    metrics.see(before, "team")

    def looked(after: Observation) -> tuple[int, int, int]:
        records, candidates = Looked(after.records), Looked(after.candidates)
        metrics.see(Observation(before.search, candidates, records, {}), "team")
        return records.passes, candidates.passes, candidates.looks

    assert looked(before) == (1, 0, 0)
    changed = an_observation(a_search(), a_candidate(150, phase="Building"))
    _, *candidates = looked(
        Observation(before.search, before.candidates, {**before.records, **changed.records}, {})
    )
    assert candidates == [0, 1]
