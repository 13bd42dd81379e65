"""E25: hundreds of searches applied within seconds, while one noisy search is edited without end."""

import asyncio
import time
from contextlib import AsyncExitStack

from tests.bench import audit
from tests.bench.arena import Arena, Usage
from tests.bench.figures import Table
from tests.cluster.kubelet.api import Api
from tests.cluster.manifests import a_search
from tests.cluster.plane import ADMIN

APPLY_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
_EDITORS = 4
_NOISY = "noisy"


async def run(stage: Arena, searches: int) -> Table:
    """Apply, edit, wait until all is calm; what it was like for the others."""
    path = f"{stage.space}/architecturesearches"
    async with AsyncExitStack() as stack:
        usage = stack.enter_context(Usage(stage.operator.pid))
        api = await stack.enter_async_context(Api(stage.plane.admin))
        await api.call("POST", path, _one(_NOISY))
        await asyncio.sleep(2.0)
        begun = time.time()
        edits = [asyncio.create_task(_edit(api, f"{path}/{_NOISY}")) for _ in range(_EDITORS)]
        async with asyncio.TaskGroup() as group:
            for number in range(searches):
                group.create_task(api.call("POST", path, _one(f"one-{number}")))
                await asyncio.sleep(max(0.0, begun + APPLY_SECONDS * (number + 1) / searches - time.time()))
        applied = time.time() - begun
        await _until_answered(api, path)
        edited = time.time() - begun
        for task in edits:
            task.cancel()
        await asyncio.gather(*edits, return_exceptions=True)
    return _figures(stage, begun, (applied, edited), usage)


def _one(name: str) -> dict[str, object]:
    return a_search(name, 1, baselines=[{"name": "gated-linear-attention"}])


async def _until_answered(api: Api, path: str) -> None:
    """Wait until the operator has said something of every search."""
    until = time.time() + PATIENCE_SECONDS
    while time.time() < until:
        await asyncio.sleep(1.0)
        found = await api.call("GET", path)
        if all("status" in search for search in found["items"]):
            return


async def _edit(api: Api, path: str) -> None:
    while True:
        patch = {"spec": {"goal": f"Goal of {time.time()}."}}
        await api.call("PATCH", path, patch, "application/merge-patch+json")


def _figures(stage: Arena, begun: float, spans: tuple[float, float], usage: Usage) -> Table:
    applied, edited = spans
    found = list(audit.calls(stage.plane.audit_log, (stage.user, ADMIN), begun))
    status = "update architecturesearches/status"
    others = audit.first_answers(found, stage.user, "create architecturesearches", status)
    middle, late, most = audit.percentiles([*others.values()])
    edits = sum(1 for call in found if call.user == ADMIN and call.name == _NOISY and call.code < 300)
    writes = sum(
        1 for call in found if call.user == stage.user and call.name == _NOISY and call.kind == status
    )
    tally = audit.Tally.of(call for call in found if call.user == stage.user)
    return [
        ("figure", "measured", "goal"),
        (
            "searches applied, each of which may begin at once",
            f"{len(others)} in {applied:.1f} s",
            "500 in 5 s",
        ),
        ("edits of the noisy one", f"{edits / edited:.0f} per second", "1,000 per second"),
        ("the others' first answer, median", f"{middle:.2f} s", ""),
        ("the others' first answer, p99 (largest)", f"{late:.2f} s ({most:.2f} s)", "≤ 2 s"),
        (
            "status writes about the noisy one",
            f"{writes}, {writes / max(1, edits):.1%} of its edits",
            "coalesced",
        ),
        ("operator's writes", f"{tally.writes.total()}, {tally.writes.total() / edited:.0f} per second", ""),
        ("operator RSS, peak", f"{usage.peak:.0f} MiB", "≤ 200 MiB"),
    ]
