"""Bounds of a pod's player, set before candidate code is loaded; a child can only lower them.

Kubernetes bounds a container's memory by killing it, and its processes only together with the referee's. A laptop has
a jail of its own, and asks for none of this.
"""

import resource
from collections.abc import Mapping
from pathlib import Path

_OPEN_FILES = 1024


def apply(limits: Mapping[str, int]) -> None:
    """Bound `processes` (of this user), the bytes of a `file` and, if given, the bytes of `memory` in all."""
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _bound(resource.RLIMIT_NPROC, limits["processes"])
    _bound(resource.RLIMIT_FSIZE, limits["file"])
    if "memory" in limits:
        _bound_memory(limits["memory"])


def _bound_memory(most: int) -> None:
    """Let what can still be taken be what the container has left, so that running out is an error and not a kill.

    What torch has mapped by now is far more than it uses, and is not counted.
    """
    now = _mapped()
    left = max(0, most - now.get("RssAnon", 0) - now.get("RssShmem", 0))
    _bound(resource.RLIMIT_DATA, now.get("VmData", 0) + left)
    _bound(resource.RLIMIT_AS, now.get("VmSize", 0) + 2 * left)


def _mapped() -> Mapping[str, int]:
    """What this process has mapped, in bytes, by the kernel's words for it."""
    lines = Path("/proc/self/status").read_text(errors="replace").splitlines()
    sizes = (line.split(":", 1) for line in lines if line.endswith(" kB"))
    return {name: int(text.split()[0]) * 1024 for name, text in sizes}


def _bound(which: int, most: int) -> None:
    hard = resource.getrlimit(which)[1]
    bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (bound, bound))
