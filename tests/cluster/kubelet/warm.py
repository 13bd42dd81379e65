"""A warm process that forks one process per agent: importing the agents takes longer than most of them run.

`python -m tests.cluster.kubelet.warm [MODULE…]` imports these modules, or the agents; it reads requests (`{"key",
"module", "words", "env", "cwd", "log"}`) from stdin and writes `{"key", "pid"}` and `{"key", "code"}` to stdout, as
lines of JSON. Its children die with it, and it with whoever started it.
"""

import importlib
import json
import os
import select
import signal
import sys
import traceback
from typing import Any, NoReturn

from asiarch.local import kernel

PRELOADED = ("asiarch.agents.run", "asiarch.agents.gateway")
_CHUNK_BYTES = 1 << 16


def main() -> int:
    """Serve until stdin ends."""
    for module in sys.argv[1:] or PRELOADED:
        importlib.import_module(module)
    woken, wakeup = os.pipe()
    for end in (woken, wakeup):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, str] = {}
    _serve(woken, running)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    return 0


def _serve(woken: int, running: dict[int, str]) -> None:
    """Start and reap; `woken` can be read when a child has ended."""
    unread = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, _CHUNK_BYTES)
            _reap(running)
        if 0 in ready:
            chunk = os.read(0, _CHUNK_BYTES)
            if not chunk:
                return
            *lines, unread = (unread + chunk).split(b"\n")
            for line in lines:
                _start(json.loads(line), running)


def _start(request: dict[str, Any], running: dict[int, str]) -> None:
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(request, parent)
    running[pid] = request["key"]
    _tell({"key": request["key"], "pid": pid})


def _become(request: dict[str, Any], parent: int) -> NoReturn:
    code = 1
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        null = os.open(os.devnull, os.O_RDONLY)
        for place, source in enumerate((null, log, log)):
            os.dup2(source, place)
        os.closerange(3, 256)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        sys.argv = [request["module"], *request.get("words", ())]
        if os.getppid() == parent:
            code = importlib.import_module(request["module"]).main()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:  # noqa: BLE001 - the last frame of a process: whatever it is goes to the log
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _reap(running: dict[int, str]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        code = os.waitstatus_to_exitcode(status)
        _tell({"key": running.pop(pid), "code": 128 - code if code < 0 else code})


def _tell(event: dict[str, Any]) -> None:
    os.write(1, json.dumps(event).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
