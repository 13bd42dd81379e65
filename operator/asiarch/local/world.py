"""The world of a laptop: a directory for the objects, child processes for the orders."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from asiarch.agents import baselines
from asiarch.api.candidate import Candidate, CandidateSpec, Code
from asiarch.api.code import digest, fingerprint
from asiarch.api.meta import Metadata
from asiarch.api.order import Order, Result
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch
from asiarch.core.actions import (
    Action,
    ArchiveCandidates,
    CandidateWrite,
    CreateCandidate,
    SearchWrite,
    StartOrder,
    StopOrder,
    Write,
)
from asiarch.core.context import context
from asiarch.core.observation import Child, Observation, Record, record
from asiarch.local.nursery import NurseryError
from asiarch.local.runner import Runner, read_agents_result, read_result
from asiarch.local.store import Store


class OvertakenError(Exception):
    """A status was planned from an object that has changed since."""


class LocalWorld:
    """One search in one directory; alone with it, so that what it holds in memory is what stands on disk."""

    def __init__(self, store: Store, runner: Runner) -> None:
        """Load what the directory holds; an order that was under way when the last process died is lost."""
        self._store = store
        self._runner = runner
        loaded = store.search()
        if loaded is None:
            message = f"{store.directory} holds no search.yaml"
            raise FileNotFoundError(message)
        self._search: ArchitectureSearch = loaded
        self._candidates: dict[str, Candidate] = {c.name: c for c in store.candidates()}
        self._records: dict[str, Record] = {name: record(c) for name, c in self._candidates.items()}
        self._children: dict[str, Child] = {}
        self._sources: dict[str, Code] = {}
        self._tasks: dict[str, tuple[Order, asyncio.Task[None]]] = {}
        self._stopped: dict[str, Reason] = {}
        self._changed = asyncio.Event()
        self._error: BaseException | None = None
        for candidate in self._candidates.values():
            self._recover(candidate)
            self._keep_source(candidate)

    @property
    def name(self) -> str:
        """The search's name."""
        return self._search.name

    async def wait(self, seconds: float) -> bool:
        """Sleep until an order ends, or so many seconds; whether one ended."""
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return False
        self._changed.clear()
        return True

    async def close(self) -> None:
        """Stop every order under way; the next run tries it again."""
        await self._runner.close()
        for _, task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*(task for _, task in self._tasks.values()), return_exceptions=True)

    async def observe(self, search: str) -> Observation:
        """See the search; the mappings are the world's own, so an observation is for one turn."""
        if search != self._search.name:
            message = f"{self._store.directory} holds search {self._search.name}, not {search}"
            raise KeyError(message)
        if self._error is not None:
            raise self._error
        return Observation(self._search, self._candidates, self._records, self._children, self._sources)

    async def commit(self, statuses: Sequence[Write]) -> None:
        """Write statuses in their order; raises OvertakenError for one that was planned from an older object."""
        for write in statuses:
            match write:
                case SearchWrite(search, status):
                    if search is not self._search:
                        raise OvertakenError(search.name)
                    self._store.write_search_status(search, status)
                    self._search = search.model_copy(update={"status": status})
                case CandidateWrite(candidate, status):
                    if self._candidates[candidate.name] is not candidate:
                        raise OvertakenError(candidate.name)
                    self._store.write_candidate(candidate, status)
                    self._keep(candidate.model_copy(update={"status": status}), candidate)
                case _:
                    assert_never(write)

    async def carry_out(self, actions: Sequence[Action]) -> None:
        """Create candidates, start and stop orders; what was done already is success."""
        for action in actions:
            match action:
                case CreateCandidate(name, spec):
                    self._create(name, spec)
                case StartOrder(order):
                    self._start(order)
                case StopOrder(name, reason):
                    await self._stop(name, reason)
                case ArchiveCandidates():
                    pass  # never planned for a world that keeps all
                case _:
                    assert_never(action)

    def _keep(self, candidate: Candidate, old: Candidate) -> None:
        """Hold a candidate's new state, and forget the order that it no longer waits for."""
        self._candidates[candidate.name] = candidate
        self._records[candidate.name] = fresh = record(candidate)
        before, after = old.status.order, candidate.status.order
        if before is not None and (after is None or after.name != before.name):
            self._children.pop(before.name, None)
        if candidate.status.code is not None:
            self._sources.pop(candidate.name, None)
        if fresh.terminal:
            self._store.forget(candidate.name)

    def _create(self, name: str, spec: CandidateSpec) -> None:
        if name in self._candidates:
            return
        candidate = Candidate(metadata=Metadata(name=name), spec=spec)
        self._store.write_candidate(candidate, candidate.status)
        self._candidates[name] = candidate
        self._records[name] = record(candidate)
        self._keep_source(candidate)

    def _keep_source(self, candidate: Candidate) -> None:
        """Store the file of a baseline or of a user before it begins."""
        spec = candidate.spec
        if candidate.status.phase != "Pending" or (spec.source is None and spec.baseline is None):
            return
        text = (
            Path(spec.source.file).read_text()
            if spec.source is not None and spec.source.file is not None
            else baselines.source(spec.baseline or "")
        )
        self._sources[candidate.name] = self._keep_code(text)

    def _keep_code(self, text: str) -> Code:
        code = Code(digest=digest(text), fingerprint=fingerprint(text))
        self._store.keep_code(code.digest, text)
        return code

    def _recover(self, candidate: Candidate) -> None:
        """After a restart, take what an order left; one that was started and left nothing is lost."""
        ref = candidate.status.order
        if ref is None or not self._store.was_started(ref.name):
            return
        place = self._store.order_directory(ref.name)
        if ref.kind == "train":
            rung = self._search.spec.evaluation.ladder[candidate.status.rung]
            results = [read_result(place / f"result-{index}.json") for index in range(rung.seeds)]
        else:
            results = [read_agents_result(place / "result.json")]
        done = tuple(r for r in results if r is not None)
        if len(done) < len(results):
            message = "The run ended while this order was under way."
            done = (Result(order=ref.name, attempt=ref.attempt, reason=Reason.LOST, message=message),)
        self._end(ref.name, done)

    def _start(self, order: Order) -> None:
        """Write the order down, then start it; an order that was ever started is not started again."""
        if order.name in self._tasks or self._store.was_started(order.name):
            return
        told = None
        if order.kind != "train":
            seen = Observation(self._search, self._candidates, self._records, {})
            told = context(order, seen, self._store.code).model_dump_json(
                by_alias=True, exclude_defaults=True
            )
        place = self._store.begin_order(order, told)
        self._children[order.name] = Child(order.name)
        task = asyncio.create_task(self._run(order, place), name=order.name)
        task.add_done_callback(self._notice)
        self._tasks[order.name] = (order, task)

    def _notice(self, task: asyncio.Task[None]) -> None:
        """Let an error of our own end the run at its next turn, rather than leave an order under way for ever."""
        if not task.cancelled() and task.exception() is not None:
            self._error = task.exception()
            self._changed.set()

    async def _run(self, order: Order, place: Path) -> None:
        """Do an order to its end; for several seeds one after the other."""
        try:
            results = await self._results(order, place)
        except NurseryError as error:
            reason = Reason.INFRASTRUCTURE_FAILED
            results = (
                Result(order=order.name, attempt=order.attempt, reason=reason, message=str(error)[:1024]),
            )
        finally:
            del self._tasks[order.name]
        stopped = self._stopped.pop(order.name, None)
        if stopped is not None:
            # What had ended well before it could be stopped stays: only this process was late to hear of it.
            why = "on purpose" if stopped == Reason.CANCELLED else "past its deadline"
            late = {"reason": stopped, "message": f"Stopped {why}."}
            results = tuple(r if r.reason is None else r.model_copy(update=late) for r in results)
        self._end(order.name, results)

    async def _results(self, order: Order, place: Path) -> tuple[Result, ...]:
        if order.kind != "train" or order.rung is None or order.code is None:
            return (await self._runner.agent(order, place),)
        code = self._store.code_path(order.code)
        results = []
        for index in range(order.rung.seeds):
            one = order.model_copy(update={"index": index})
            results.append(await self._runner.train(one, code, place))
            if results[-1].reason is not None:
                break
        return tuple(results)

    async def _stop(self, name: str, reason: Reason) -> None:
        """Kill an order's processes; its task then reports it ended."""
        if name in self._tasks:
            self._stopped[name] = reason
            await self._runner.stop(self._tasks[name][0])

    def _end(self, name: str, results: tuple[Result, ...]) -> None:
        """Report an order as ended, with its file stored by digest if it brought one."""
        writing = results[0].writing
        code = self._keep_code(writing.text) if writing is not None and results[0].reason is None else None
        self._children[name] = Child(name, results, code)
        self._changed.set()
