"""The Linux system calls that Python's standard library lacks; each raises `OSError` when the kernel refuses."""

import ctypes
import os
import platform
import re
import struct
import sys
from collections.abc import Callable
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
PR_GET_SECCOMP, PR_SET_SECCOMP = 21, 22
PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 38, 39
PR_SET_CHILD_SUBREAPER, PR_CAP_AMBIENT = 36, 47

_MNT_DETACH = 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID, _MOUNT_ATTR_NODEV = 1, 2, 4
_MOUNT_SETATTR = 442
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_CAPABILITY_VERSION_3 = 0x20080522

LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True)


def release() -> tuple[int, int]:
    """The kernel's version: (6, 8)."""
    major, minor = re.findall(r"\d+", platform.release())[:2]
    return int(major), int(minor)


def attempt(call: Callable[..., object], *arguments: object) -> bool:
    """Make `call`; False when the kernel refuses it."""
    try:
        call(*arguments)
    except OSError:
        return False
    return True


def unshare(flags: int) -> None:
    """Leave the namespaces that `flags` names for new ones."""
    _checked(_libc.unshare(ctypes.c_int(flags)) if LINUX else -1, "unshare")


def mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    """Mount `source` on `target`."""
    result = _libc.mount(
        source.encode(), bytes(target), kind.encode(), ctypes.c_ulong(flags), options.encode()
    )
    _checked(result, f"mount {target}")


def detach(target: Path) -> None:
    """Unmount `target` and everything below it, now or when its last user leaves."""
    _checked(_libc.umount2(bytes(target), _MNT_DETACH), f"umount {target}")


def restrict_mount(target: Path, *, read_only: bool, recursive: bool = True) -> None:
    """Take set-user-id and devices, and with `read_only` writing, from a mount (kernel 5.12)."""
    attributes = _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV | (_MOUNT_ATTR_RDONLY if read_only else 0)
    wanted = struct.pack("=QQQQ", attributes, 0, 0, 0)
    syscall(_MOUNT_SETATTR, _AT_FDCWD, bytes(target), _AT_RECURSIVE if recursive else 0, wanted, len(wanted))


def enter_root(root: Path) -> None:
    """Make the mount at `root` the root directory and drop the old one."""
    os.chdir(root)
    syscall(_PIVOT_ROOT.get(platform.machine(), -1), b".", b".")
    detach(Path())
    os.chdir("/")


def prctl(option: int, value: int = 0, third: int = 0) -> int:
    """Set or read one property of this process."""
    if not LINUX:
        return 0
    words = [ctypes.c_ulong(word) for word in (value, third, 0, 0)]
    return _checked(_libc.prctl(ctypes.c_int(option), *words), f"prctl {option}")


def drop_capabilities() -> None:
    """Give up every capability, for good."""
    for capability in range(64):
        attempt(prctl, PR_CAPBSET_DROP, capability)
    attempt(prctl, PR_CAP_AMBIENT, 4)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(header, struct.pack("=6I", *[0] * 6)), "capset")


def has_capabilities() -> bool:
    """Whether this process still has any capability."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    sets = ctypes.create_string_buffer(24)
    _checked(_libc.capget(header, sets), "capget")
    return any(sets.raw)


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """Make a system call by its number."""
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *words), f"system call {number}")


def _checked(result: int, name: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result
