"""Puts a process into its jail, and says what it really had.

Two jails. `trusted` is for our own code (agents, the referee): processes and network of its own, and limits. `hostile`
is for code that a machine wrote (the player): a private read-only root as well, nobody's user, no capability, and
filters of system calls (seccomp) and files (Landlock).

Every step that the kernel refuses is left out, and a word enters the list of what was had only after its step; where
a step may succeed without effect (network, root, user, capabilities, seccomp) the effect itself is looked at. What is
left where namespaces are refused (Ubuntu 24.04's ordinary users, most containers): Landlock, seccomp, limits, and a
guard that hunts the job's processes down. Where even Landlock is missing, nothing hides the user's files from the
player: the list then has neither `read-only-root` nor `landlock`.

bubblewrap does the same for programs that it starts itself. It can't be used here, because a player is forked from a
warm process that has torch loaded (4.5 s) and nothing is executed; and no Python package wraps these calls.
"""

import os
import signal
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

from asiarch.local import kernel, landlock, limits, root, seccomp
from asiarch.local.jobs import Jail, Job

_NOBODY = 65534
_COUNTS_BY_NAMESPACE = (5, 14)
"""Since this kernel a user's processes are counted in each user namespace apart."""
_UNROUTABLE = ("192.0.2.1", 9)
_SHARED = (
    (kernel.CLONE_NEWIPC, "ipc-namespace"),
    (kernel.CLONE_NEWUTS, "uts-namespace"),
)


def separate(jail: Jail) -> list[str]:
    """Give this process's next child a PID namespace, by way of a user namespace for an ordinary user."""
    user, group = os.geteuid(), os.getegid()
    if kernel.attempt(kernel.unshare, kernel.CLONE_NEWPID) or user == 0:
        return []
    if not kernel.attempt(kernel.unshare, kernel.CLONE_NEWUSER | kernel.CLONE_NEWPID):
        return []
    hostile = jail == "hostile"
    _map_user(_NOBODY if hostile else user, user)
    _map_group(_NOBODY if hostile else group, group)
    return ["user-namespace"]


def enter(job: Job, words: list[str]) -> list[str]:
    """Put this process into the job's jail; `words` is what `separate` had, the answer everything that is had."""
    forked = limits.memory_of()
    running = _counted_already(words)
    kernel.attempt(Path("/proc/self/oom_score_adj").write_text, "1000")
    words = [*words, *(["pid-namespace"] if os.getpid() == 1 else []), *_leave_network()]
    if job.jail == "hostile":
        words += _leave_the_rest()
        words += _change_root(job, words)
        words += _become_nobody(job)
    _go_to(job)
    words += limits.apply(job, forked, running)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    return words + _refuse(job, words) if job.jail == "hostile" else words


def _counted_already(words: list[str]) -> int:
    """Processes that the kernel counts against this job's limit though they are not the job's own."""
    counted_apart = kernel.release() >= _COUNTS_BY_NAMESPACE and (
        os.getuid() == 0 or "user-namespace" in words
    )
    return 0 if counted_apart else limits.running_processes(os.getuid() or _NOBODY)


def _leave_network() -> list[str]:
    if not kernel.attempt(kernel.unshare, kernel.CLONE_NEWNET):
        return []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return [] if kernel.attempt(probe.connect, _UNROUTABLE) else ["network-namespace"]


def _leave_the_rest() -> list[str]:
    return [word for flag, word in _SHARED if kernel.attempt(kernel.unshare, flag)]


def _change_root(job: Job, words: list[str]) -> list[str]:
    """Enter a private root; without a PID namespace there is none, for its processes would stay visible."""
    if "pid-namespace" not in words:
        return []
    try:
        return root.enter(job)
    except OSError as refusal:
        sys.stderr.write(f"isolation: no private root: {refusal}\n")
        return []


def _become_nobody(job: Job) -> list[str]:
    """Stop being root, unless nobody could not even read Python's own files; then give up every capability."""
    words = []
    if os.geteuid() == 0 and _nobody_can_read(root.system()):
        for path in job.write:
            os.chown(path, _NOBODY, _NOBODY)
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
        words += _count_apart()
        _must_be_readable(job)
    kernel.attempt(kernel.drop_capabilities)
    words += [] if 0 in os.getresuid() else ["unprivileged-user"]
    return words if kernel.has_capabilities() else [*words, "no-capabilities"]


def _nobody_can_read(paths: Iterable[Path]) -> bool:
    if not kernel.attempt(os.seteuid, _NOBODY):
        return False
    try:
        return all(os.access(path, os.R_OK, effective_ids=True) for path in paths)
    finally:
        os.seteuid(0)


def _must_be_readable(job: Job) -> None:
    closed = [str(path) for path in job.read if not os.access(path, os.R_OK)]
    if closed:
        raise PermissionError(
            f"a hostile job runs as uid {_NOBODY}, which can't read {', '.join(closed)}: chmod o+r"
        )


def _count_apart() -> list[str]:
    """A user namespace of its own, so that the job's processes are counted apart from other jobs' (kernel 5.14)."""
    if not Path("/proc/self/uid_map").exists() or not kernel.attempt(kernel.unshare, kernel.CLONE_NEWUSER):
        return []
    _map_user(_NOBODY, _NOBODY)
    _map_group(_NOBODY, _NOBODY)
    return ["user-namespace"]


def _map_user(inside: int, outside: int) -> None:
    Path("/proc/self/uid_map").write_text(f"{inside} {outside} 1")


def _map_group(inside: int, outside: int) -> None:
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"{inside} {outside} 1")


def _go_to(job: Job) -> None:
    """Go to the job's directory, or to the scratch directory where the job's is not shown."""
    try:
        os.chdir(job.cwd)
    except OSError:
        os.chdir(root.SCRATCH)


def _refuse(job: Job, had: list[str]) -> list[str]:
    """No new privileges, no file and no system call that the job has no use for."""
    words = []
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if kernel.prctl(kernel.PR_GET_NO_NEW_PRIVS) == 1:
        words.append("no-new-privileges")
    private = "read-only-root" in had
    read = [Path("/")] if private else [root.PROCESSOR, *root.readable(job)]
    write = [root.SCRATCH, *root.writable(job)] if private else root.writable(job)
    words += landlock.apply(read, write)
    if seccomp.supported() and kernel.attempt(seccomp.apply) and seccomp.applied():
        words.append("seccomp")
    return words
