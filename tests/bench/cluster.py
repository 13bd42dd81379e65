"""The operator at scale, on a real control plane with a playing kubelet: reaction, writes, memory, restarts, storms.

Run: python -m tests.bench.cluster [--help]
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.bench import audit, finished, storm
from tests.bench.arena import Arena, Usage, arena, memory
from tests.bench.figures import Table, publish, written
from tests.cluster.ledger import Entry
from tests.cluster.manifests import GATES, RECALL, a_search
from tests.cluster.plane import KUBELET, ControlPlane
from tests.cluster.playing import Playing

SETTLE_SECONDS = 10.0
AGENTS = 2 / 3
"""How long an agent takes, in training's: three agents and two rungs then fill both pools alike."""
GOAL = 0.5
"""Seconds that a reaction may take."""
_TURNS = 20
_RESTARTS = 3
_NODES = 2


def main() -> None:
    """Measure and publish."""
    told = _parser().parse_args(sys.argv[1:])
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="asiarch-bench-") as folder:
        scale = run_scale(told, Path(folder)) if told.searches else [("figure", "measured", "goal")]
        sizes = [run_size(told, count, Path(folder)) for count in told.sizes]
        stormed = run_storm(told, Path(folder)) if told.storm else []
    notes = []
    if sizes:
        notes += [
            "## By the number of finished candidates that are present",
            "",
            written([SIZE_HEAD, *sizes]),
        ]
    if stormed:
        notes += ["", "## Many searches at once (E25)", "", written(stormed)]
    notes += ["", f"The whole run took {(time.monotonic() - begun) / 60:.0f} minutes. {NOTES}"]
    publish("cluster", "The operator at scale", scale, "\n".join(notes))


NOTES = (
    "All of it ran on one machine: etcd, API server, controller manager, scheduler, playing kubelet (agents and "
    "training instant but for the time that each order lasts), operator; those in Go with GOGC=400. Reaction: from an "
    "order's end in the API server (its result's ConfigMap, or the last status of its training pod) to the API "
    "server's answer to the candidate's next status write, by the audit log."
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.bench.cluster", description="The operator at scale.")
    add = parser.add_argument
    add("--searches", type=int, default=10, help="that run at a time; 0 leaves this part out (default 10)")
    add("--candidates", type=int, default=200, help="of each search (default 200)")
    add("--parallelism", type=int, default=50, help="of agents and of evaluation (default 50)")
    add("--lasts", type=float, default=250.0, help="seconds that training takes, ± 50 %% (default 250)")
    add("--apart", type=float, default=10.0, help="seconds between two searches' start (default 10)")
    add("--present", type=int, default=5000, help="finished candidates beside them (default 5000)")
    add("--quiet", type=float, default=120.0, help="seconds in which nothing may be written (default 120)")
    add(
        "--sizes",
        type=int,
        nargs="*",
        default=[1000, 5000, 10_000],
        help="finished candidates, for the table",
    )
    add(
        "--storm", type=int, default=500, help="searches applied in 5 s; 0 leaves this part out (default 500)"
    )
    add("--writes", type=float, default=None, help="the operator's writes per second (default its own)")
    return parser


def _words(told: argparse.Namespace) -> tuple[str, ...]:
    return () if told.writes is None else ("--writes", str(told.writes))


def run_scale(told: argparse.Namespace, folder: Path) -> Table:
    """Many searches at a time beside thousands of finished candidates."""
    with ControlPlane() as plane, arena(plane, "scale", folder, *_words(told)) as stage:
        plane.install()
        asyncio.run(finished.make(plane, stage.namespace, told.present))
        kubelets = [_kubelet(plane, folder, f"node-{n}", told.lasts) for n in range(_NODES)]
        stage.start()
        time.sleep(SETTLE_SECONDS)
        with Usage(stage.operator.pid) as usage:
            begun = time.time()
            for number in range(told.searches):
                plane.request("POST", f"{stage.space}/architecturesearches", _search(told, number))
                time.sleep(told.apart)
            _await_all(stage)
            ended = time.time()
        ledger = [entry for kubelet in kubelets for entry in kubelet.entries()]
        rows = [
            ("figure", "measured", "goal"),
            *_sizes_of(told, ended - begun),
            *_traffic(stage, (begun, ended), told),
            *_cost(usage, told),
            *_turns(stage),
            ("slots idle, middle half of the run", f"{_idle_share(ledger, told):.1%}", ""),
            ("orders tried again", f"{sum(e.event == 'started' and e.attempt > 1 for e in ledger)}", "0"),
            *_quiet(stage, told.quiet),
            *_restarts(stage),
        ]
        for kubelet in kubelets:
            kubelet.kill()
        return rows


def _kubelet(plane: ControlPlane, folder: Path, node: str, lasts: float) -> Playing:
    made = Playing(
        plane,
        folder,
        node,
        training="instant",
        agents="direct",
        lasts=lasts,
        agents_last=AGENTS * lasts,
        spread=0.5,
    )
    return made.start_ready()


def _search(told: argparse.Namespace, number: int) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "seed": 37 + number,
        "baselines": [{"name": "gated-linear-attention"}],
        "agents": {"parallelism": told.parallelism, "deadline": "60m"},
        "evaluation": {
            "parallelism": told.parallelism,
            "ladder": [{**GATES, "deadline": "60m"}, {**RECALL, "deadline": "60m"}],
        },
    }
    return a_search(f"run-{number}", told.candidates, **spec)


def _await_all(stage: Arena) -> None:
    """Wait until every search is complete; say now and then how far they are."""
    said = 0.0
    while any(s.get("status", {}).get("phase") != "Complete" for s in stage.searches()):
        assert stage.operator.running, stage.operator.last_words()
        if time.monotonic() - said > 20:
            said = time.monotonic()
            counts = [s.get("status", {}).get("counts", {}) for s in stage.searches()]
            done, live = (sum(c.get(k, 0) for c in counts) for k in ("complete", "live"))
            print(f"{time.strftime('%X')} {done} complete, {live} live, {memory(stage.operator.pid):.0f} MiB")
        # Each look costs the API server as much as many a write.
        time.sleep(5.0)


def _sizes_of(told: argparse.Namespace, seconds: float) -> Table:
    total = told.searches * told.candidates
    what = f"{told.searches} × {told.candidates} at parallelism {told.parallelism}"
    return [
        ("searches × candidates", what, "10 × 200 at 50"),
        ("finished candidates beside them", f"{told.present:,}", "5,000"),
        (
            "an order lasts",
            f"training {told.lasts:.0f} s, an agent's {AGENTS * told.lasts:.0f} s, ± 50 %",
            "",
        ),
        ("searches start", f"{told.apart:.0f} s apart", ""),
        ("candidates per minute", f"{60 * total / seconds:.0f} ({seconds:.0f} s in all)", ""),
    ]


def _traffic(stage: Arena, span: tuple[float, float], told: argparse.Namespace) -> Table:
    """Reactions, writes and reads of a stretch of time, from the audit log."""
    total = told.searches * (told.candidates + 1)
    found = list(audit.calls(stage.plane.audit_log, (stage.user, KUBELET), *span))
    reactions = audit.reactions(found, stage.user)
    middle, late, most = audit.percentiles([one.seconds for one in reactions])
    tally = audit.Tally.of(call for call in found if call.user == stage.user)
    return [
        ("reaction, median", f"{middle:.3f} s", ""),
        ("reaction, p99 (largest)", f"{late:.3f} s ({most:.2f} s)", "≤ 0.5 s"),
        ("— above the goal", _slow(found, stage.user, reactions), ""),
        ("API server's answers, median / p99", _answers(found, stage.user), ""),
        ("the operator's API writes per finished candidate", f"{tally.writes.total() / total:.1f}", "≤ 20"),
        ("— by kind", _by_kind(tally.writes, total), ""),
        ("API reads per finished candidate", f"{tally.reads.total() / total:.1f}", ""),
        ("— by kind", _by_kind(tally.reads, total), ""),
        ("calls refused", ", ".join(f"{n} {what}" for what, n in tally.refused.most_common()) or "0", ""),
    ]


def _slow(found: Sequence[audit.Call], user: str, reactions: Sequence[audit.Span]) -> str:
    """How many reactions were slow, and what else the operator did meanwhile."""
    slow = [one for one in reactions if one.seconds > GOAL]
    listing, deleting = audit.lists(found, user), audit.deletions(found, user)
    shares = [sum(one.meets(others) for one in slow) / max(1, len(slow)) for others in (listing, deleting)]
    meanwhile = (
        f"{shares[0]:.0%} of them during a full list, {shares[1]:.0%} while its search deleted settled Jobs"
    )
    return f"{len(slow)} of {len(reactions)}; {meanwhile}"


def _answers(found: Sequence[audit.Call], user: str) -> str:
    """How long the API server took for each kind of call of the operator's."""
    kinds: dict[str, list[float]] = defaultdict(list)
    for call in found:
        if call.user == user and call.verb != "watch":
            kinds[call.kind].append(1000 * (call.answered - call.received))
    told = (
        (kind, audit.percentiles(times))
        for kind, times in sorted(kinds.items(), key=lambda pair: -len(pair[1]))
    )
    return ", ".join(f"{kind} {middle:.0f} / {late:.0f} ms" for kind, (middle, late, _) in told)


def _by_kind(counted: Counter[str], total: int) -> str:
    return ", ".join(f"{n / total:.2f} {kind}" for kind, n in counted.most_common() if n / total >= 0.005)


def _cost(usage: Usage, told: argparse.Namespace) -> Table:
    resident = usage.resident
    quarters = [resident[len(resident) * part // 4] for part in range(4)] + resident[-1:]
    return [
        ("operator RSS, peak", f"{usage.peak:.0f} MiB", "≤ 200 MiB"),
        ("— at 0, 25, 50, 75, 100 % of the run", ", ".join(f"{mib:.0f}" for mib in quarters) + " MiB", ""),
        (
            "operator CPU per candidate",
            f"{1000 * usage.seconds / (told.searches * told.candidates):.0f} ms",
            "",
        ),
        ("— share of one core", f"{usage.seconds / max(1, len(resident)):.0%}", ""),
    ]


def _turns(stage: Arena) -> Table:
    """What the operator says of its own turns and event loop."""
    turns = stage.metric("asiarch_reconcile_total")
    seconds = stage.metric("asiarch_reconcile_duration_seconds_sum")
    return [
        ("turns", f"{turns:.0f}, {1000 * seconds / max(1.0, turns):.1f} ms on average, writes included", ""),
        ("— duration", _distribution(stage.histogram("asiarch_reconcile_duration_seconds")), ""),
        ("event loop late", _distribution(stage.histogram("asiarch_event_loop_lag_seconds")), ""),
    ]


def _distribution(buckets: Sequence[tuple[float, float]]) -> str:
    """The share of observations below each bound, where it says something new."""
    if not buckets or not buckets[-1][1]:
        return "not measured"
    total = buckets[-1][1]
    shares = [(bound, count / total) for bound, count in buckets]
    new = [shares[0], *(after for before, after in pairwise(shares) if after[1] > before[1])]
    return ", ".join(f"{share:.2%} ≤ {bound:g} s" for bound, share in new if bound < float("inf"))


def _idle_share(ledger: Sequence[Entry], told: argparse.Namespace) -> float:
    """Share of the busier pool's slot time in which no order ran, while candidates waited for one."""
    ends = {entry.pod: entry.time for entry in ledger if entry.event == "ended"}
    spans = [
        (e.time, ends[e.pod], e.kind == "train") for e in ledger if e.event == "started" and e.pod in ends
    ]
    if not spans:
        return 1.0
    first, last = min(b for b, _, _ in spans), max(e for _, e, _ in spans)
    begin, end = first + (last - first) / 4, last - (last - first) / 4
    busy = [0.0, 0.0]
    for started, over, training in spans:
        busy[training] += max(0.0, min(over, end) - max(started, begin))
    slots: int = told.searches * told.parallelism
    return 1 - max(busy) / (slots * (end - begin))


def _quiet(stage: Arena, seconds: float) -> Table:
    """Writes while nothing changes."""
    time.sleep(SETTLE_SECONDS)
    begun = time.time()
    time.sleep(seconds)
    found = audit.calls(stage.plane.audit_log, (stage.user,), begun, time.time())
    tally = audit.Tally.of(found)
    return [(f"writes in {seconds:.0f} s without a change", f"{tally.writes.total()}", "0")]


def _restarts(stage: Arena) -> Table:
    times = [stage.restart() for _ in range(_RESTARTS)]
    synced, turned = (max(one) for one in zip(*times, strict=True))
    return [
        ("kill -9 and start, to in sync", f"{synced:.1f} s (the worst of {_RESTARTS})", "≤ 5 s"),
        ("— to the first turn of every search", f"{turned:.1f} s", ""),
    ]


SIZE_HEAD = (
    "finished",
    "restart to in sync",
    "to the first turn",
    "RSS",
    "RSS, peak",
    "one turn",
    "idle writes",
)


def run_size(told: argparse.Namespace, count: int, folder: Path) -> tuple[str, ...]:
    """One row: nothing but so many finished candidates."""
    with ControlPlane() as plane, arena(plane, f"size-{count}", folder, *_words(told)) as stage:
        plane.install()
        asyncio.run(finished.make(plane, stage.namespace, count))
        stage.start()
        time.sleep(SETTLE_SECONDS)
        synced, turned = map(max, zip(*(stage.restart() for _ in range(_RESTARTS)), strict=True))
        turn = _one_turn(stage)
        quiet = _quiet(stage, told.quiet)[0][1]
        resident = memory(stage.operator.pid), memory(stage.operator.pid, "VmHWM")
        rss, peak = (f"{mib:.0f} MiB" for mib in resident)
        return f"{count:,}", f"{synced:.1f} s", f"{turned:.1f} s", rss, peak, f"{1000 * turn:.0f} ms", quiet


def _one_turn(stage: Arena) -> float:
    """Seconds of a turn that finds nothing to do, on average."""
    names = ("asiarch_reconcile_duration_seconds_sum", "asiarch_reconcile_duration_seconds_count")
    before = [stage.metric(name) for name in names]
    path = f"{stage.space}/architecturesearches/past-0"
    for number in range(_TURNS):
        body = {"metadata": {"annotations": {"bench": str(number)}}}
        stage.plane.request("PATCH", path, body, kind="application/merge-patch+json")
        time.sleep(0.5)
    spent, turns = (stage.metric(name) - was for name, was in zip(names, before, strict=True))
    return spent / max(1.0, turns)


def run_storm(told: argparse.Namespace, folder: Path) -> Table:
    """Hundreds of searches within seconds, while somebody edits another one without end."""
    with ControlPlane() as plane, arena(plane, "storm", folder, *_words(told)) as stage:
        plane.install()
        stage.start()
        return asyncio.run(storm.run(stage, told.storm))


if __name__ == "__main__":
    main()
