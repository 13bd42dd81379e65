"""Becomes an ordinary user, and runs the rest of the command line as one: `ordinary.py [--refuse] COMMAND…`.

Python may lie in root's home (pyenv, uv): that home is replaced, for this process alone, by one that holds no more
than Python. With `--refuse` the kernel grants no namespaces any more, as Ubuntu 24.04's does to an ordinary user's.
"""

import os
import sys
from pathlib import Path

from asiarch.local import kernel

USER = 1000


def main() -> None:
    command = sys.argv[1:]
    refuse = command[0] == "--refuse"
    _open_the_way_to_python()
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
    if refuse:
        _grant_no_namespaces()
    command = command[refuse:]
    os.execv(command[0], command)  # noqa: S606


def _open_the_way_to_python() -> None:
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", Path("/"), "none", kernel.MS_REC | kernel.MS_PRIVATE)
    python, home = Path(sys.base_prefix), Path("/root")
    if not python.is_relative_to(home):
        return
    stage = Path("/sys")
    kernel.mount("home", stage, "tmpfs", 0, "mode=755")
    target = stage / python.relative_to(home)
    target.mkdir(parents=True)
    kernel.mount(str(python), target, "none", kernel.MS_BIND)
    kernel.mount(str(stage), home, "none", kernel.MS_BIND | kernel.MS_REC)
    kernel.detach(stage)


def _grant_no_namespaces() -> None:
    kernel.unshare(kernel.CLONE_NEWUSER)
    Path("/proc/self/uid_map").write_text(f"{USER} {USER} 1")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"{USER} {USER} 1")
    for limit in Path("/proc/sys/user").glob("max_*_namespaces"):
        limit.write_text("0")
    kernel.drop_capabilities()


if __name__ == "__main__":
    main()
