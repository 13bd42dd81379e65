"""A player that obeys until a chosen request, then does something else: what a captured player could do."""

import json
import math
import socket
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from asiarch_trainer.wire import HEADER, MAGIC, Kind, Tensor, Wire, WireError

Act = Callable[[socket.socket, Wire], None]
WITH_TENSOR = {"mix", "logits", "step"}
DONE_AFTER = {"load", "build", "shake", "aside", "stop"}
_PATIENCE = 30.0


def an_impostor(at: str, act: Act) -> Callable[[Path], None]:
    """Serve zeros until the request `at`; then act, and hang on until the referee leaves."""

    def play(path: Path) -> None:
        with connected(path) as link:
            wire = Wire(link)
            try:
                serve_until(wire, at)
                act(link, wire)
                while link.recv(1 << 16):
                    pass
            except (WireError, OSError):
                return

    return play


def connected(path: Path) -> socket.socket:
    until = time.monotonic() + _PATIENCE
    while True:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.connect(str(path))
        except OSError:
            link.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            link.settimeout(_PATIENCE)
            return link


def serve_until(wire: Wire, at: str) -> None:
    """Answer each request with what fits it and means nothing."""
    vocabulary = aside = 0
    while (request := json.loads(wire.receive(soon()).text))["do"] != at:
        kind = request["do"]
        aside += {"aside": 1, "stop": -1}.get(kind, 0)
        if aside < 0:
            return
        vocabulary = request.get("vocabulary", vocabulary)
        given = wire.receive(soon()).tensor if kind in WITH_TENSOR else None
        if kind in DONE_AFTER:
            wire.send_text(Kind.DONE, "", soon())
        else:
            wire.send_tensor(nothing_much(kind, given, vocabulary), soon())
    if at in WITH_TENSOR:
        wire.receive(soon())


def nothing_much(kind: str, given: Tensor | None, vocabulary: int) -> Tensor:
    shape = given.shape if given is not None else ()
    match kind:
        case "mix":
            return np.zeros(shape, np.float32)
        case "logits":
            return np.zeros((*shape, vocabulary), np.float32)
        case "step":
            return np.array([0.0001])
        case "kernels":
            return np.array([3.0, np.nan, -5.0, 7.0, 0.0, -1.0])
        case _:
            return np.zeros(3, np.float32)


def soon() -> float:
    return time.monotonic() + _PATIENCE


def forge(
    kind: int = Kind.TENSOR, dtype: int = 2, shape: tuple[int, ...] = (), size: int = 0, body: bytes = b""
) -> Act:
    """Send a frame of any content."""
    header = HEADER.pack(MAGIC, kind, dtype, len(shape), *(shape + (0,) * 4)[:4], size)
    return lambda link, _wire: link.sendall(header + body)


def send(body: bytes) -> Act:
    return lambda link, _wire: link.sendall(body)


def say(kind: Kind, text: str) -> Act:
    return lambda _link, wire: wire.send_text(kind, text, soon())


def answer(shape: tuple[int, ...], fill: float = 0.0, dtype: str = "<f4") -> Act:
    return lambda _link, wire: wire.send_tensor(np.full(shape, fill, dtype), soon())


def dribble(link: socket.socket, wire: Wire) -> None:
    header = HEADER.pack(MAGIC, Kind.TENSOR, 2, 3, 2, 17, 32, 0, 4 * math.prod((2, 17, 32)))
    for byte in header + bytes(4 * math.prod((2, 17, 32))):
        link.sendall(bytes([byte]))
        time.sleep(0.05)


def hush(link: socket.socket, wire: Wire) -> None:
    """Say nothing."""


def leave(link: socket.socket, wire: Wire) -> None:
    link.shutdown(socket.SHUT_RDWR)


def then(*acts: Act) -> Act:
    """Do one thing after the other."""

    def act(link: socket.socket, wire: Wire) -> None:
        for each in acts:
            each(link, wire)

    return act
