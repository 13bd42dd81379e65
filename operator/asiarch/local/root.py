"""A private root directory: an empty, read-only one with the Python installation and what a job was given, no more.

Nothing else of the machine has a name in it: no home, no project, no other run, no device but the harmless ones.
"""

import os
import stat
import sys
from pathlib import Path

from asiarch.local import kernel
from asiarch.local.jobs import Job

_STAGE = Path("/sys")
"""Where the new root is put together: a directory that every Linux has and that no job is given."""
_LINKED = ("/bin", "/lib", "/lib64", "/lib32")
_SHARED = ("/usr", *_LINKED, "/etc/ld.so.cache")
PROCESSOR = Path("/proc/cpuinfo")
"""Without it torch computes without vector instructions: more slowly, and to other last digits."""
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/random")
SCRATCH = Path("/tmp")  # noqa: S108
_SCRATCH_OPTIONS = "size=64m,nr_inodes=4096,mode=1777"
_ROOT_OPTIONS = "size=1m,nr_inodes=4096,mode=755"
_SECURE = kernel.MS_NOSUID | kernel.MS_NODEV
_PASSWD = "nobody:x:65534:65534::/tmp:/bin/false\n"  # noqa: S105


def enter(job: Job) -> list[str]:
    """Move this process into a private root; the old one has no name afterwards. Needs a PID namespace of its own."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", Path("/"), "none", kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("asiarch", _STAGE, "tmpfs", _SECURE, _ROOT_OPTIONS)
    try:
        words = _furnish(job)
    except OSError:
        kernel.detach(_STAGE)
        raise
    kernel.enter_root(_STAGE)
    return words if os.statvfs("/").f_flag & os.ST_RDONLY else []


def system() -> tuple[Path, ...]:
    """The machine's libraries and programs, this interpreter's files, and its importable modules."""
    places = map(Path, (*_SHARED, sys.base_prefix, sys.prefix, *sys.path))
    return tuple(place for place in places if place.is_absolute() and place.exists())


def readable(job: Job) -> tuple[Path, ...]:
    """What a hostile job may read: the system's and Python's own files, and what it was given."""
    return (*system(), *(path for path in job.read if path.exists()))


def writable(job: Job) -> tuple[Path, ...]:
    """What a hostile job may write beside its scratch directory."""
    return (*job.write, *(Path(device) for device in _DEVICES if Path(device).exists()))


def _furnish(job: Job) -> list[str]:
    scratch = _below(SCRATCH)
    scratch.mkdir()
    kernel.mount("scratch", scratch, "tmpfs", _SECURE, _SCRATCH_OPTIONS)
    for path in _shallow_first(readable(job)):
        _show(path, read_only=True)
    for path in writable(job):
        _show(path, read_only=False)
    _below(Path("/etc")).mkdir(exist_ok=True)
    _below(Path("/etc/passwd")).write_text(_PASSWD)
    words = ["read-only-root", *_show_processes()]
    kernel.restrict_mount(_STAGE, read_only=True, recursive=False)
    return words


def _show_processes() -> list[str]:
    """Mount a /proc with the job's own processes alone; a container that masks its own refuses."""
    place = _below(Path("/proc"))
    place.mkdir()
    if kernel.attempt(kernel.mount, "proc", place, "proc", _SECURE | kernel.MS_NOEXEC):
        return ["private-proc"]
    _show(PROCESSOR, read_only=True)
    return []


def _show(path: Path, *, read_only: bool) -> None:
    """Give the new root what is at `path`, under the same name."""
    target = _below(path)
    if str(path) in _LINKED and path.is_symlink():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path.readlink())
        return
    _mount_point(path, target)
    kernel.mount(str(path), target, "none", kernel.MS_BIND | kernel.MS_REC)
    if not stat.S_ISCHR(path.stat().st_mode):
        kernel.restrict_mount(target, read_only=read_only)


def _mount_point(path: Path, target: Path) -> None:
    if path.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()


def _shallow_first(paths: tuple[Path, ...]) -> list[Path]:
    """Each path once, and none that another one already shows."""
    kept: list[Path] = []
    for path in sorted(set(paths), key=lambda path: len(path.parts)):
        if not any(path.is_relative_to(shown) for shown in kept):
            kept.append(path)
    return kept


def _below(path: Path) -> Path:
    return _STAGE / path.relative_to("/")
