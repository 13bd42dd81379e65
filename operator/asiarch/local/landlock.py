"""Landlock: what files a process may reach, without any privilege and where namespaces are refused.

Ubuntu 24.04 and most containers refuse namespaces to ordinary users but have Landlock (kernel 5.13); later versions
also refuse TCP (6.7) and signals to processes outside (6.12). See docs.kernel.org/userspace-api/landlock.html.
"""

import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from asiarch.local import kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIRECTORY, _TRUNCATE = 1, 2, 4, 8, 1 << 14
_READ = _EXECUTE | _READ_FILE | _READ_DIRECTORY
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""First version: every right over files that it handles."""
_TCP_VERSION, _TCP = 4, 3
_SCOPE_VERSION, _SCOPES = 6, 3


def version() -> int:
    """The kernel's version of Landlock; 0 without it."""
    try:
        return kernel.syscall(_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def apply(read: Iterable[Path], write: Iterable[Path]) -> list[str]:
    """Leave this process only `read` and `write`, and no TCP; `no_new_privs` must be set."""
    had = version()
    if not had:
        return []
    rights = max(value for since, value in _RIGHTS.items() if since <= had)
    scopes = _SCOPES if had >= _SCOPE_VERSION else 0
    attributes = [rights, _TCP if had >= _TCP_VERSION else 0, scopes]
    size = 24 if had >= _SCOPE_VERSION else 16 if had >= _TCP_VERSION else 8
    ruleset = kernel.syscall(_CREATE_RULESET, struct.pack("=3Q", *attributes)[:size], size, 0)
    try:
        for path in read:
            _allow(ruleset, path, _READ)
        for path in write:
            _allow(ruleset, path, rights)
        kernel.syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return ["landlock", "landlock-tcp"] if had >= _TCP_VERSION else ["landlock"]


def _allow(ruleset: int, path: Path, rights: int) -> None:
    """Allow `rights` below `path`; what does not exist or can't be reached needs no rule."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        allowed = rights if stat.S_ISDIR(os.fstat(place).st_mode) else rights & _OF_A_FILE
        kernel.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", allowed, place), 0)
    finally:
        os.close(place)
