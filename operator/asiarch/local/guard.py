"""The guard: a small process between the warm process and one job, which starts the job in its jail and outlives it.

It leaves with the job's own status. It kills the job and everything the job started when it is told to stop, when the
warm process dies, when the job itself has ended, and when the job's processes hold too much memory together. In a PID
namespace that is one kill: the job is its first process. Without one, the guard adopts orphans and hunts them down.
"""

import contextlib
import fcntl
import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from asiarch.local import descent, isolation, kernel, limits
from asiarch.local.jobs import Job

_REPORT = 3
"""The only file beside the standard streams; closed before the job's code runs."""
_SIGNALS = {signal.SIGCHLD, signal.SIGTERM}
_LOOK_EVERY_SECONDS = 1.0
_MEMORY_SLACK = 1.25
_FAILED, _BROKEN = 1, 70
"""Exit codes of a job that raised, and of a jail that failed (sysexits' EX_SOFTWARE)."""


def stand(job: Job, log: int, report: int, warm: int) -> NoReturn:
    """Run `job` with its output in `log`; say on `report` what isolation it had. Never returns."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    _forget_the_warm_process(job, log, report)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGTERM)
    kernel.attempt(kernel.prctl, kernel.PR_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != warm:
        os._exit(_BROKEN)
    forked = limits.memory_of()
    words = isolation.separate(job.jail)
    pid = os.fork()
    if pid == 0:
        _run(job, words)
    os.close(_REPORT)
    _leave(_watch(pid, job.memory, forked))


def _forget_the_warm_process(job: Job, log: int, report: int) -> None:
    """Keep none of its files, signal handlers and environment."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    report = fcntl.fcntl(report, fcntl.F_DUPFD, _REPORT + 1)
    for place, source in enumerate((null, log, log)):
        os.dup2(source, place)
    os.dup2(report, _REPORT)
    _close_above(_REPORT)
    os.environ.clear()
    os.environ.update(job.env)


def _close_above(last: int) -> None:
    """Close every file above `last`; counting to the limit would take longer than all else."""
    listed = Path("/proc/self/fd")
    numbers = [int(name) for name in os.listdir(listed)] if listed.is_dir() else range(4096)  # noqa: PTH208
    for number in numbers:
        if number > last:
            kernel.attempt(os.close, number)


def _run(job: Job, words: list[str]) -> NoReturn:
    """In the job's own process: enter the jail, then call the module's `main`."""
    code = _BROKEN
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        had = isolation.enter(job, words)
        os.write(_REPORT, json.dumps(had).encode())
        os.close(_REPORT)
        code = _FAILED
        code = _call(job.module)
    # The last frame of the process: whatever it is goes to the log.
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code & 0xFF)


def _call(module: str) -> int:
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    sys.argv = [module]
    try:
        code = importlib.import_module(module).main()
    except SystemExit as leaving:
        code = leaving.code
    return code if isinstance(code, int) else int(code is not None)


def _watch(pid: int, memory: int, forked: limits.Memory) -> int:
    """Wait for the job to end, ending it when it must; the answer is its wait status."""
    while True:
        heard = signal.sigtimedwait(_SIGNALS, _LOOK_EVERY_SECONDS)
        if heard and heard.si_signo == signal.SIGTERM:
            descent.kill(pid, signal.SIGKILL)
        elif heard is None and limits.resident_beyond(os.getpid(), forked) > _MEMORY_SLACK * memory:
            os.write(2, b"\nkilled: the processes of this job held more memory together than it may use\n")
            descent.kill(pid, signal.SIGKILL)
        status = _ended(pid)
        if status is not None:
            descent.kill_strays(os.getpid())
            return status


def _ended(pid: int) -> int | None:
    """The job's wait status once it has ended; orphans are reaped on the way."""
    with contextlib.suppress(ChildProcessError):
        while True:
            found, status = os.waitpid(-1, os.WNOHANG)
            if found in (0, pid):
                return status if found else None
    return None


def _leave(status: int) -> NoReturn:
    """End as the job ended."""
    if os.WIFEXITED(status):
        os._exit(os.WEXITSTATUS(status))
    number = os.WTERMSIG(status)
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)
