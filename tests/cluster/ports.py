"""Free ports: none is given to two planes, however many test processes ask at once."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

_FIRST, _LAST = 20_000, 32_000
"""Below the ports that the system itself gives to outgoing connections."""


class Ports:
    """Takes ports and keeps them until closed, even while nothing listens: a killed server comes back to its own."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.gettempdir()) / f"asiarch-ports-{os.geteuid()}"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._held: list[IO[str]] = []

    def take(self) -> int:
        """A port of 127.0.0.1 that is ours alone."""
        while True:
            port = random.randint(_FIRST, _LAST)
            file = (self._folder / str(port)).open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            except OSError:
                file.close()
            else:
                self._held.append(file)
                return port

    def close(self) -> None:
        """Give all back."""
        while self._held:
            self._held.pop().close()
