"""How much a job may use: memory, processes, files, time.

Memory is counted from what the process had when it was forked, for a process with torch loaded has 0.8 GB of data and
3.2 GB of address space before it does anything. `RLIMIT_DATA` bounds private memory, `RLIMIT_AS` shared memory, both
for each process; the guard bounds the sum over the job's processes once a second.
"""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

from asiarch.local import descent
from asiarch.local.jobs import Job

_FILE_BYTES = {"trusted": 2**32, "hostile": 2**26}
_OPEN_FILES = {"trusted": 1024, "hostile": 256}
_CPU_SECONDS_BEYOND = 10


@dataclass(frozen=True)
class Memory:
    """What a process had mapped at one moment, in bytes."""

    data: int
    space: int
    resident: int


def memory_of(pid: int | str = "self") -> Memory:
    """What `pid` has mapped now; nothing when it is gone or there is no /proc."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return Memory(0, 0, 0)
    sizes = dict(line.split(":", 1) for line in lines if line.endswith(" kB"))
    of = {name: int(text.split()[0]) * 1024 for name, text in sizes.items()}
    return Memory(of.get("VmData", 0), of.get("VmSize", 0), of.get("RssAnon", 0) + of.get("RssShmem", 0))


def resident_beyond(pid: int, forked: Memory) -> int:
    """Bytes that the processes below `pid` hold together, beyond what each had when it was forked."""
    return sum(max(0, memory_of(each).resident - forked.resident) for each in descent.descendants(pid))


def apply(job: Job, forked: Memory, running: int) -> list[str]:
    """Bound this process and its children; `running` processes of its user are counted against it already."""
    seconds = int(job.seconds * (os.cpu_count() or 1)) + _CPU_SECONDS_BEYOND
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, seconds)
    _limit(resource.RLIMIT_FSIZE, _FILE_BYTES[job.jail])
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES[job.jail])
    words = ["file-limit"]
    if forked.data:
        _limit(resource.RLIMIT_DATA, forked.data + job.memory)
        _limit(resource.RLIMIT_AS, forked.space + 2 * job.memory)
        words.append("memory-limit")
    if os.getuid() != 0:
        _limit(resource.RLIMIT_NPROC, running + job.processes)
        words.append("process-limit")
    return words


def running_processes(uid: int) -> int:
    """Processes and threads of a user, as the kernel counts them against `RLIMIT_NPROC`."""
    return sum(_threads(entry) for entry in Path("/proc").glob("[0-9]*") if _owner(entry) == uid)


def _limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (bound, bound))


def _owner(entry: Path) -> int:
    try:
        return entry.stat().st_uid
    except OSError:
        return -1


def _threads(entry: Path) -> int:
    try:
        return len(list((entry / "task").iterdir()))
    except OSError:
        return 0
