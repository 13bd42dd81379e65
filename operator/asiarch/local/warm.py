"""A warm process: it has the heavy modules imported and forks jobs on request, in milliseconds instead of seconds.

`python -I -m asiarch.local.warm --preload torch` reads requests from stdin and writes events to stdout, one JSON
object per line. Requests: start (a job), stop (a key). Events: ready, broken, started, refused, ended. It never runs
a job's code itself and keeps to one thread, for a fork copies only the thread that forks. A job's memory begins as a
copy of this process's: nothing secret may be sent to a warm process that starts hostile jobs. When stdin ends, because
its controller has gone, even by `kill -9`, it kills every job and leaves.
"""

import argparse
import contextlib
import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asiarch.local import descent, guard, kernel
from asiarch.local.jobs import Exit, Job, line, parse_job

_LOG_BYTES = 2**20
_CHUNK_BYTES = 2**16
_GRACE_SECONDS = 3.0
_LONGEST_WAIT_SECONDS = 60.0
_TRUNCATED = b"\n... the rest was not kept: a log has at most 1 MiB\n"


@dataclass
class _Log:
    """A job's output: drained for ever, kept up to a limit."""

    source: int
    file: int
    room: int = _LOG_BYTES - len(_TRUNCATED)
    ended: bool = False

    def drain(self) -> bool:
        """Take a chunk of what is there; False when nothing is."""
        try:
            chunk = os.read(self.source, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        self.ended = not chunk
        if chunk and self.room > 0:
            self._keep(chunk)
        return not self.ended

    def _keep(self, chunk: bytes) -> None:
        """Write what there is room for; on a full disk there is none."""
        try:
            os.write(self.file, chunk[: self.room])
            self.room -= len(chunk)
            if self.room <= 0:
                os.write(self.file, _TRUNCATED)
        except OSError:
            self.room = 0

    def close(self) -> None:
        """Take the rest and let go."""
        while self.drain():
            pass
        os.close(self.source)
        os.close(self.file)


@dataclass
class _Running:
    """A job that has been forked."""

    job: Job
    guard: int
    log: _Log
    report: int
    deadline: float
    isolation: tuple[str, ...] = ()
    reported: bytes = b""
    timed_out: bool = False
    doomed: bool = False

    def end(self) -> None:
        """Have the guard kill the job; when asked again, for the guard did not, kill the guard."""
        descent.kill(self.guard, signal.SIGKILL if self.doomed else signal.SIGTERM)
        self.doomed = True
        self.deadline = time.monotonic() + _GRACE_SECONDS


class Warm:
    """The loop: requests in, events out, output drained, deadlines kept."""

    def __init__(self, requests: int, events: int) -> None:
        self._requests = requests
        self._events = events
        self._running: dict[int, _Running] = {}
        self._poll = select.poll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._unread = b""
        self._open = True
        self._child_ended, wakeup = os.pipe()
        os.set_blocking(self._child_ended, False)
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> None:
        """Serve until the controller has gone and every job has ended."""
        self._watch(self._requests, self._read_requests)
        self._watch(self._child_ended, self._reap)
        while self._open or self._running:
            for number, _ in self._poll.poll(self._wait_ms()):
                if number in self._readers:
                    self._readers[number]()
            self._keep_deadlines(time.monotonic())

    def _wait_ms(self) -> int | None:
        if not self._running:
            return None
        first = min(running.deadline for running in self._running.values()) - time.monotonic()
        return int(min(max(0.0, first), _LONGEST_WAIT_SECONDS) * 1000) + 1

    def _read_requests(self) -> None:
        chunk = os.read(self._requests, _CHUNK_BYTES)
        if not chunk:
            self._close()
            return
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        for each in lines:
            request = json.loads(each)
            if request["request"] == "start":
                self._start(parse_job(request))
            else:
                self._stop(request["key"])

    def _start(self, job: Job) -> None:
        try:
            running = _fork(job)
        except OSError as refusal:
            self._tell(
                {"event": "refused", "key": job.key, "message": f"job {job.key} can't start: {refusal}"}
            )
            return
        self._running[running.guard] = running
        self._watch(running.report, lambda: self._read_report(running))
        self._watch(running.log.source, lambda: self._drain(running))

    def _read_report(self, running: _Running) -> None:
        """The job says what isolation it has just before its code runs; the pipe then ends."""
        try:
            while chunk := os.read(running.report, _CHUNK_BYTES):
                running.reported += chunk
        except BlockingIOError:
            return
        self._unwatch(running.report)
        if running.reported:
            running.isolation = tuple(json.loads(running.reported))
            event = {"event": "started", "key": running.job.key, "pid": running.guard}
            self._tell({**event, "isolation": running.isolation})

    def _drain(self, running: _Running) -> None:
        running.log.drain()
        if running.log.ended:
            self._unwatch(running.log.source)

    def _stop(self, key: str) -> None:
        for running in self._running.values():
            if running.job.key == key:
                running.end()

    def _keep_deadlines(self, now: float) -> None:
        for running in self._running.values():
            if now >= running.deadline:
                running.timed_out |= not running.doomed
                running.end()

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._child_ended, _CHUNK_BYTES)
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid in self._running:
                    self._finish(self._running.pop(pid), status)

    def _finish(self, running: _Running, status: int) -> None:
        if running.report in self._readers:
            self._read_report(running)
        if "pid-namespace" not in running.isolation:
            descent.kill_strays(os.getpid(), keep=self._running.keys())
        self._unwatch(running.report)
        self._unwatch(running.log.source)
        os.close(running.report)
        running.log.close()
        signalled = os.WIFSIGNALED(status)
        code = None if signalled else os.WEXITSTATUS(status)
        number = os.WTERMSIG(status) if signalled else None
        ended = Exit(running.job.key, code, number, running.timed_out, running.isolation)
        self._tell({"event": "ended", **vars(ended)})

    def _close(self) -> None:
        """The controller has gone: end everything."""
        self._open = False
        self._unwatch(self._requests)
        for running in self._running.values():
            running.end()

    def _tell(self, event: Mapping[str, Any]) -> None:
        """Write an event; a controller that has gone will not be told."""
        try:
            os.write(self._events, line(event))
        except BrokenPipeError:
            self._close()

    def _watch(self, number: int, reader: Callable[[], None]) -> None:
        self._readers[number] = reader
        self._poll.register(number, select.POLLIN)

    def _unwatch(self, number: int) -> None:
        if self._readers.pop(number, None):
            self._poll.unregister(number)


def _fork(job: Job) -> _Running:
    """Fork a guard for `job`; nothing stays open here when that fails."""
    with contextlib.ExitStack() as opened:
        file = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        opened.callback(os.close, file)
        output, log = os.pipe()
        report, reporting = os.pipe()
        warm = os.getpid()
        pid = os.fork()
        if pid == 0:
            guard.stand(job, log, reporting, warm)
        opened.pop_all()
    os.close(log)
    os.close(reporting)
    os.set_blocking(output, False)
    os.set_blocking(report, False)
    return _Running(job, pid, _Log(output, file), report, time.monotonic() + job.seconds)


def main() -> int:
    """Import what was asked for, report readiness, and serve."""
    parser = argparse.ArgumentParser(prog="asiarch.local.warm", description=__doc__)
    parser.add_argument("--preload", nargs="*", default=[], metavar="MODULE")
    parser.add_argument(
        "--path", nargs="*", default=[], metavar="DIRECTORY", help="further places of modules"
    )
    arguments = parser.parse_args()
    sys.path.extend(arguments.path)
    kernel.attempt(kernel.prctl, kernel.PR_SET_CHILD_SUBREAPER, 1)
    trouble = _preload(arguments.preload)
    event = {"event": "broken", "message": trouble} if trouble else {"event": "ready", "pid": os.getpid()}
    os.write(1, line(event))
    if not trouble:
        gc.freeze()
        Warm(requests=0, events=1).run()
    return 1 if trouble else 0


def _preload(modules: list[str]) -> str:
    """Import the modules; what went wrong, or nothing."""
    _raise_open_files()
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            return f"module {module} can't be imported: {error}"
    threads = _threads()
    return f"{threads} threads after importing {modules}; a fork needs one" if threads > 1 else ""


def _threads() -> int:
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else 1


def _raise_open_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
