"""Finds and ends the processes below a process, as the kernel's own lists of children tell them."""

import os
import signal
from collections.abc import Container, Iterator
from pathlib import Path


def descendants(pid: int) -> Iterator[int]:
    """Every living process below `pid`, parents first."""
    found = children(pid)
    while found:
        yield from found
        found = [grandchild for child in found for grandchild in children(child)]


def children(pid: int) -> list[int]:
    """The children of all threads of `pid`; none when it is gone."""
    try:
        lists = [task.joinpath("children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []
    return [int(word) for text in lists for word in text.split()]


def kill_strays(pid: int, keep: Container[int] = ()) -> None:
    """Kill everything below `pid`, except the children in `keep` and what is below them, until nothing is left.

    A killed process's children move up to the nearest subreaper; that is why one pass is not enough.
    """
    while strays := [child for child in children(pid) if child not in keep]:
        for stray in strays:
            for victim in (*descendants(stray), stray):
                kill(victim, signal.SIGKILL)
            _reap(stray)


def kill(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return
