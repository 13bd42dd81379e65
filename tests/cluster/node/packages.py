"""Finds the programs that a node is made of, and has Debian install what is missing."""

import os
import shutil
from functools import cache
from pathlib import Path

from tests.cluster.node.commands import CommandError, run, succeeds

PLUGINS = Path("/usr/lib/cni")
_PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "buildah": "buildah",
    "skopeo": "skopeo",
    "debootstrap": "debootstrap",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    str(PLUGINS / "ptp"): "containernetworking-plugins",
}


@cache
def obstacle() -> str:
    """Why no node can run here; empty if one can. Installs Debian's packages where they are missing."""
    if os.geteuid() != 0:
        return "A real node needs root: run `sudo make test-node`."
    if not succeeds("unshare", "--mount", "--net", "true"):
        return "A real node needs a machine that lets root mount and make namespaces; this one refuses both."
    if not any(kind.startswith("cgroup") for kind in _mounted()):
        return "A real node needs cgroups, and none are mounted here."
    missing = sorted({package for program, package in _PROGRAMS.items() if not shutil.which(program)})
    if missing:
        return _install(missing)
    return ""


def _mounted() -> list[str]:
    """The kinds of all mounted file systems."""
    return [line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()]


def _install(missing: list[str]) -> str:
    named = " ".join(missing)
    if not shutil.which("apt-get"):
        return f"A real node needs these of Debian's packages, and here is no apt-get: {named}."
    quiet = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q")
    try:
        run(*quiet, "update", seconds=300)
        run(*quiet, "install", "--yes", "--no-install-recommends", *missing, seconds=600)
    except CommandError as error:
        return f"A real node needs these of Debian's packages, and they can't be installed: {named}. {error}"
    still = sorted({package for program, package in _PROGRAMS.items() if not shutil.which(program)})
    return f"These packages hold no such programs here: {' '.join(still)}." if still else ""
