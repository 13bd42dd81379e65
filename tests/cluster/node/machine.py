"""What a node changes of the machine it runs on, and how all of it is put back: after a run, and after a killed one.

Every step of putting back finds out by itself what there is to do, so that it may be repeated and started anywhere.
"""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.cluster.node.commands import run, succeeds, wait_until
from tests.cluster.node.policies import TABLE
from tests.cluster.node.storage import alone, kept

HOST = "198.18.0.1"
"""The machine's address for its pods, on its loopback; of the block for tests between networks, so nobody else's."""
PODS = "10.244.0.0/24"
CGROUP = "asiarch-node"
_TABLES = [(family, table) for family in ("ip", "ip6") for table in ("kube-proxy", TABLE)]
# What kubelet, kube-proxy and the network plugin set, each for the whole machine.
_SETTINGS = (
    "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxbytes", "kernel/keys/root_maxkeys",
    "vm/overcommit_memory", "net/ipv4/ip_forward",
)  # fmt: skip
# What the programs make outside of the folders that they are given.
_OUTSIDE = (
    "/etc/cni", "/opt/containerd", "/run/containerd", "/run/netns", "/usr/libexec/kubernetes", "/var/lib/cni",
    "/var/lib/containers", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods",
)  # fmt: skip


@contextmanager
def borrowed() -> Iterator[Path]:
    """A folder for the state of one node, and the machine as it was when the block ends."""
    with alone():
        if _record().exists():
            _put_back()
        folder = Path(tempfile.mkdtemp(prefix="asiarch-node-"))
        # Not in the folder, which somebody may clear away after a killed run.
        fresh = _record().with_suffix(".new")
        fresh.write_text(json.dumps({"folder": str(folder), **_before()}))
        fresh.replace(_record())
        try:
            _make_room()
            yield folder
        finally:
            _put_back()


def add_address() -> None:
    """Give the machine the address at which pods reach it."""
    run("ip", "address", "replace", f"{HOST}/32", "dev", "lo")


def _record() -> Path:
    """Where stands how the machine was, as long as that is to be put back."""
    return kept() / "before.json"


def _before() -> dict[str, dict[str, str] | list[str]]:
    """The machine's settings, and which folders were not there."""
    return {
        "settings": {name: Path("/proc/sys", name).read_text() for name in _SETTINGS},
        "absent": [path for path in _OUTSIDE if not Path(path).exists()],
    }


def _make_room() -> None:
    """A cgroup in every hierarchy, which may use what the machine may, and the address for pods to reach."""
    for root in _hierarchies():
        (root / CGROUP).mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (root / name).exists():
                (root / CGROUP / name).write_text((root / name).read_text())
    add_address()


def _put_back() -> None:
    before = json.loads(_record().read_text())
    folder = Path(before["folder"])
    _kill(folder)
    for path in _mounted(str(folder), str(kept())):
        run("umount", "--lazy", path)
    for family, table in _TABLES:
        if succeeds("nft", "list", "table", family, table):
            run("nft", "delete", "table", family, table)
    for link in _links():
        # It may go by itself meanwhile, as its pod's end of it does.
        succeeds("ip", "link", "delete", link)
    succeeds("ip", "address", "delete", f"{HOST}/32", "dev", "lo")
    _remove_cgroups()
    for name, value in before["settings"].items():
        Path("/proc/sys", name).write_text(value)
    for path in (*before["absent"], folder):
        shutil.rmtree(path, ignore_errors=True)
    _record().unlink()


def _kill(folder: Path) -> None:
    """Kill whatever runs in our cgroup, and the shims that held it."""

    def left() -> list[int]:
        return [*_inhabitants(), *_shims(folder)]

    def gone() -> bool:
        for process in left():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return not left()

    wait_until(gone, "our pods' processes are gone")


def _inhabitants() -> Iterator[int]:
    """The processes in our cgroup and below."""
    for root in _hierarchies():
        for processes in (root / CGROUP).rglob("cgroup.procs"):
            with suppress(OSError):
                yield from map(int, processes.read_text().split())


def _shims(folder: Path) -> Iterator[int]:
    """The processes by which our containerd held its containers."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_text().split("\0")
            if words[0].endswith("containerd-shim-runc-v2") and str(folder / "containerd.sock") in words:
                yield int(process.name)


def _hierarchies() -> list[Path]:
    """Where cgroups are mounted: one place, or one for each controller."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return [Path(mount[1]) for mount in mounts if mount[2].startswith("cgroup")]


def _mounted(*folders: str) -> list[str]:
    """What is mounted below these folders, the deepest first."""
    places = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return sorted(
        {p for p in places if p.startswith(tuple(f"{folder}/" for folder in folders))}, reverse=True
    )


def _links() -> set[str]:
    """The machine's ends of its pods' links."""
    prefix = PODS.rpartition(".")[0]
    routes = json.loads(run("ip", "-json", "-4", "route", "show"))
    return {route["dev"] for route in routes if route["dst"].startswith(f"{prefix}.")}


def _remove_cgroups() -> None:
    for root in _hierarchies():
        below = [path for path in (root / CGROUP).rglob("*") if path.is_dir()]
        for path in sorted([*below, root / CGROUP], reverse=True):
            with suppress(FileNotFoundError):
                path.rmdir()
