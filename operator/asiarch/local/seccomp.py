"""A filter of system calls for machine-written code: what training a model on a CPU never needs is refused.

Refused with EPERM: debugging and reading other processes, namespaces and mounts, kernel modules, keys, BPF, io_uring,
memory that no limit counts, clocks; every socket that is not a unix socket; new namespaces by `clone`; taking back
the wish to die with the guard. `clone3`, whose arguments a filter can't see, "does not exist", so libc uses `clone`.
"""

import ctypes
import platform
import struct

from asiarch.local import kernel

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""Machine: its audit number, and its column in the tables below."""

_REFUSED = {
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280), "chroot": (161, 51),
    "clock_adjtime": (305, 266), "clock_settime": (227, 112), "delete_module": (176, 106),
    "fanotify_init": (300, 262), "finit_module": (313, 273), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fsopen": (430, 430), "fspick": (433, 433), "init_module": (175, 105), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "io_uring_setup": (425, 425), "ioperm": (173, -1), "iopl": (172, -1),
    "kcmp": (312, 272), "kexec_file_load": (320, 294), "kexec_load": (246, 104), "keyctl": (250, 219),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "migrate_pages": (256, 238), "mknod": (133, -1),
    "mknodat": (259, 33), "modify_ldt": (154, -1), "mount": (165, 40), "mount_setattr": (442, 442),
    "move_mount": (429, 429), "move_pages": (279, 239), "mq_open": (240, 180), "msgget": (68, 186),
    "name_to_handle_at": (303, 264), "nfsservctl": (180, 42), "open_by_handle_at": (304, 265),
    "open_tree": (428, 428), "perf_event_open": (298, 241), "personality": (135, 92), "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41), "process_madvise": (440, 440), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60), "reboot": (169, 142),
    "request_key": (249, 218), "semget": (64, 190), "setdomainname": (171, 162), "sethostname": (170, 161),
    "setns": (308, 268), "settimeofday": (164, 170), "shmget": (29, 194), "swapoff": (168, 225),
    "swapon": (167, 224), "syslog": (103, 116), "umount2": (166, 39), "unshare": (272, 97), "uselib": (134, -1),
    "userfaultfd": (323, 282), "vhangup": (153, 58),
}  # fmt: skip
_CLONE, _CLONE3, _PRCTL, _SOCKET = (56, 220), (435, 435), (157, 167), (41, 198)
_NAMESPACES = (
    kernel.CLONE_NEWNS | kernel.CLONE_NEWCGROUP | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUSER | kernel.CLONE_NEWPID | kernel.CLONE_NEWNET
)  # fmt: skip
_AF_UNIX, _EPERM, _ENOSYS = 1, 1, 38
_X32 = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Offsets in the kernel's `struct seccomp_data`; the first argument's low word, as both machines are little-endian."""

_MODE_FILTER = 2
_Instruction = tuple[int, int, int, int]


def supported() -> bool:
    """Whether there is a table for this machine."""
    return kernel.LINUX and platform.machine() in _ARCHITECTURES


def apply() -> None:
    """Put the filter on this process for good; `no_new_privs` must be set."""
    packed = [struct.pack("=HBBI", *each) for each in instructions(platform.machine())]
    code = ctypes.create_string_buffer(b"".join(packed))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(packed), ctypes.addressof(code)))
    kernel.prctl(kernel.PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(header))


def applied() -> bool:
    """Whether a filter is on this process."""
    return kernel.prctl(kernel.PR_GET_SECCOMP) == _MODE_FILTER


def instructions(machine: str) -> list[_Instruction]:
    """The filter as (code, jump if true, jump if false, operand)."""
    architecture, column = _ARCHITECTURES[machine]
    refuse = (_RETURN, 0, 0, _ERRNO | _EPERM)
    guarded = [
        *_when(_CLONE[column], (_ANY_BIT, 0, 1, _NAMESPACES), refuse),
        *_when(_SOCKET[column], (_EQUAL, 1, 0, _AF_UNIX), refuse),
        *_when(_PRCTL[column], (_EQUAL, 0, 1, kernel.PR_SET_PDEATHSIG), refuse),
    ]
    numbers = sorted(row[column] for row in _REFUSED.values() if row[column] >= 0)
    listed = [(_EQUAL, len(numbers) - index, 0, number) for index, number in enumerate(numbers)]
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        refuse,
        (_EQUAL, 0, 1, _CLONE3[column]),
        (_RETURN, 0, 0, _ERRNO | _ENOSYS),
        *guarded,
        *listed,
        (_RETURN, 0, 0, _ALLOW),
        refuse,
    ]


def _when(number: int, test: _Instruction, refuse: _Instruction) -> list[_Instruction]:
    """Decide one system call by its first argument: `test` falls to `refuse` or jumps over it."""
    return [
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        test,
        refuse,
        (_RETURN, 0, 0, _ALLOW),
    ]
