"""What machine-written code might try. `main` does the deed that its environment names and says whether it could.

Exit code 0: done. 13: denied. The tests run every deed in the jail, and without one, where it must be done.
"""

import contextlib
import ctypes
import mmap
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

DONE, DENIED = 0, 13


def main() -> int:
    try:
        DEEDS[os.environ["DEED"]](os.environ.get("TARGET", ""))
    except (OSError, MemoryError, RuntimeError) as refusal:
        print("denied:", type(refusal).__name__, refusal)
        return DENIED
    print("done")
    return DONE


def read_file(target: str) -> None:
    print(Path(target).read_bytes())


def use_blocks(_: str) -> None:
    """What an honest mixer does: import the building blocks, and compute with them."""
    import torch  # noqa: PLC0415 - the other deeds don't wait for it

    from asiarch_kernels import causal_conv, chunk_recurrence  # noqa: PLC0415 - the same

    x = causal_conv(torch.randn(2, 70, 16), torch.randn(16, 4)).view(2, 70, 2, 8)
    y = chunk_recurrence(x, x, x, log_decay=-torch.rand(2, 70, 2))
    assert y.isfinite().all()


def write_file(target: str) -> None:
    Path(target).write_text("was here")


def write_into_python(_: str) -> None:
    place = Path(os.__file__).parent / "asiarch_was_here.py"
    place.write_text("")
    place.unlink()


def connect(target: str) -> None:
    host, port = target.split(":")
    with socket.create_connection((host, int(port)), timeout=2):
        pass


def connect_without_python(target: str) -> None:
    """The same by system calls, for a filter in Python would not count."""
    with socket.socket(socket.AF_UNIX) as unix:
        unix.connect(target)


def send_datagram(target: str) -> None:
    host, port = target.split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        datagram.sendto(b"x", (host, int(port)))


def open_netlink(_: str) -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()


def find_in_environment(target: str) -> None:
    """Look for a pattern, which does not match itself, in the environment of every process that can be seen."""
    for process in ("self", *(entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit())):
        with contextlib.suppress(OSError):
            if re.search(target.encode(), Path(f"/proc/{process}/environ").read_bytes()):
                return
    raise PermissionError("nobody that can be seen has it")


def find_in_own_memory(target: str) -> None:
    """Look for a pattern, which does not match itself, in everything that this process has mapped."""
    with Path("/proc/self/mem").open("rb", buffering=0) as memory:
        for line in Path("/proc/self/maps").read_text().splitlines():
            first, last = (int(bound, 16) for bound in line.split()[0].split("-"))
            with contextlib.suppress(OSError, ValueError, OverflowError):
                memory.seek(first)
                if re.search(target.encode(), memory.read(last - first)):
                    return
    raise PermissionError("it is not in memory")


def read_memory_of(target: str) -> None:
    with Path(f"/proc/{target}/mem").open("rb"):
        pass


def signal_process(target: str) -> None:
    os.kill(int(target), 0)


def become_root(_: str) -> None:
    os.setuid(0)


def make_namespace(_: str) -> None:
    _system_call(ctypes.CDLL(None, use_errno=True).unshare, 0x10000000)


def trace(_: str) -> None:
    _system_call(ctypes.CDLL(None, use_errno=True).ptrace, 0, 0, 0, 0)


def mount(_: str) -> None:
    _system_call(ctypes.CDLL(None, use_errno=True).mount, b"none", b"/tmp", b"tmpfs", 0, None)


def outlive_the_guard(_: str) -> None:
    _system_call(ctypes.CDLL(None, use_errno=True).prctl, 1, 0, 0, 0, 0)


def _system_call(call: Callable[..., int], *arguments: object) -> None:
    if call(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def fork_bomb(_: str) -> None:
    """Fork until refused; done when 200 live at once."""
    for _number in range(200):
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)


def thread_bomb(_: str) -> None:
    for _number in range(200):
        threading.Thread(target=time.sleep, args=(20,), daemon=True).start()


def allocate(target: str) -> None:
    size = int(target)
    kept = b"\1" * size
    print(len(kept))


def map_private(target: str) -> None:
    mmap.mmap(-1, int(target), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def map_shared(target: str) -> None:
    mmap.mmap(-1, int(target))


def fill_memory_file(target: str) -> None:
    place = os.memfd_create("hoard")
    for _number in range(int(target) >> 20):
        os.write(place, bytes(1 << 20))


def allocate_together(target: str) -> None:
    """Stay within the limit of one process, with many."""
    for _number in range(8):
        if os.fork() == 0:
            kept = b"\1" * int(target)
            time.sleep(20)
            os._exit(len(kept) & 0)
    time.sleep(20)


def allocate_tensor(target: str) -> None:
    import torch  # noqa: PLC0415

    print(torch.ones(int(target), dtype=torch.uint8).sum())


def name_vector_instructions(_: str) -> None:
    import torch  # noqa: PLC0415

    print(torch.backends.cpu.get_cpu_capability())


def fill_scratch(target: str) -> None:
    with Path("/tmp/hoard").open("wb") as hoard:  # noqa: S108
        hoard.writelines(bytes(1 << 20) for _number in range(int(target) >> 20))
    Path("/tmp/hoard").unlink()  # noqa: S108


def shout(target: str) -> None:
    chunk = b"\x1b[31m" + b"y" * 65531
    for _number in range(int(target) // len(chunk)):
        os.write(1, chunk)


def leave_at_once(_: str) -> None:
    os._exit(0)


def abort(_: str) -> None:
    os.abort()


def raise_error(_: str) -> None:
    raise KeyError("no such thing")


def loop_for_ever(_: str) -> None:
    while True:
        pass


def leave_an_orphan(target: str) -> None:
    """A grandchild in a session of its own, deaf to signals, that writes to `target` as long as it lives."""
    ready, begun = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() > 0:
            os._exit(0)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        while True:
            with Path(target).open("a") as heartbeat:
                heartbeat.write("x")
            os.write(begun, b"x")
            time.sleep(0.01)
    os.read(ready, 1)


def leave_an_orphan_and_stay(target: str) -> None:
    leave_an_orphan(target)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


def list_own_files(_: str) -> None:
    """Done when anything but the standard streams is open."""
    for number in range(3, 1024):
        with contextlib.suppress(OSError):
            os.fstat(number)
            print(number, "is open")
            return
    raise PermissionError("only the standard streams are open")


def show_surroundings(_: str) -> None:
    print(dict(os.environ), Path.cwd(), sys.argv)


def sleep(target: str) -> None:
    time.sleep(float(target))


DEEDS: dict[str, Callable[[str], None]] = {
    deed.__name__: deed
    for deed in (
        read_file, use_blocks, write_file, write_into_python, connect, connect_without_python, send_datagram,
        open_netlink, find_in_environment, find_in_own_memory, read_memory_of, signal_process, become_root,
        make_namespace, trace, mount, outlive_the_guard, fork_bomb, thread_bomb, allocate, map_private,
        map_shared, fill_memory_file, allocate_together, allocate_tensor, name_vector_instructions,
        fill_scratch, shout, leave_at_once, abort, raise_error, loop_for_ever, leave_an_orphan,
        leave_an_orphan_and_stay, list_own_files, show_surroundings, sleep,
    )
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
