"""The wire between referee and player: a fixed header, then a raw little-endian tensor or a short text.

Rules: nothing is ever unpickled; a frame's size is checked against its own dimensions and against what the
receiver is ready to take before any memory is; a frame that has begun must end within `FRAME_SECONDS`; text is
at most 8 KiB of UTF-8 without control characters. Only numpy and sockets are used here, because the referee,
which never imports torch, shares this module.
"""

import math
import socket
import struct
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[Any]

HEADER = struct.Struct("<4sBBBx4IQ")
"""Magic, kind, dtype, number of dimensions, the dimensions, bytes that follow: 32 bytes."""

MAGIC = b"ASI\x01"
MAX_DIMENSIONS = 4
MAX_TEXT_BYTES = 8 * 1024
MAX_TENSOR_BYTES = 1 << 30
FRAME_SECONDS = 10.0
"""A frame that has begun must have ended after so long; only waiting for its first byte may take until the deadline."""
_LONGEST_WAIT = 2_000_000.0
"""A socket counts its milliseconds in 32 bits: told to wait for longer, it would wait for any other time."""

DTYPES = (np.dtype("<i4"), np.dtype("<i8"), np.dtype("<f4"), np.dtype("<f8"))
_TEXT = 255


class Kind(IntEnum):
    """What a frame is."""

    REQUEST = 1
    TENSOR = 2
    DONE = 3
    TEXT = 4
    ERROR = 5


_TENSOR_KINDS = frozenset({Kind.TENSOR})


class WireError(Exception):
    """The other side can't be talked to any more."""


class MalformedError(WireError):
    """A frame breaks a rule of the wire."""


class StalledError(WireError):
    """A frame was begun and not finished in time."""


class SilentError(WireError):
    """Nothing came, or nothing was taken, until the deadline."""


class ClosedError(WireError):
    """The other side closed the connection between two frames."""


class BrokenError(WireError):
    """The connection ended in the middle of a frame or was reset."""


@dataclass(frozen=True)
class Frame:
    """One received frame: text, or a tensor, or neither."""

    kind: Kind
    text: str = ""
    tensor: Tensor | None = None


@dataclass(frozen=True)
class _Header:
    kind: Kind
    dtype: int
    shape: tuple[int, ...]
    size: int


class Wire:
    """One connected stream socket that speaks frames."""

    def __init__(
        self,
        link: socket.socket,
        clock: Callable[[], float] = time.monotonic,
        frame_seconds: float = FRAME_SECONDS,
    ) -> None:
        """Take over a connected socket; `clock` is the one that every `until` speaks of."""
        self._link = link
        self._clock = clock
        self._frame_seconds = frame_seconds

    def send_text(self, kind: Kind, text: str, until: float) -> None:
        """Send a text; what exceeds 8 KiB is cut."""
        payload = _encode(text)
        self._send(HEADER.pack(MAGIC, kind, _TEXT, 0, 0, 0, 0, 0, len(payload)) + payload, until)

    def send_tensor(self, tensor: Tensor, until: float) -> None:
        """Send a tensor of one of `DTYPES` with at most four dimensions."""
        dtype = DTYPES.index(tensor.dtype.newbyteorder("<"))
        shape = tensor.shape + (0,) * (MAX_DIMENSIONS - tensor.ndim)
        self._send(HEADER.pack(MAGIC, Kind.TENSOR, dtype, tensor.ndim, *shape, tensor.nbytes), until)
        self._send(np.ascontiguousarray(tensor, DTYPES[dtype]).data.cast("B") if tensor.size else b"", until)

    def receive(self, until: float, most: int = MAX_TENSOR_BYTES) -> Frame:
        """Wait for one frame whose tensor has at most `most` bytes; raises a `WireError`."""
        first = self._read(1, until, begun=False)
        end = min(until, self._clock() + self._frame_seconds)
        header = _parse(bytes(first) + bytes(self._read(HEADER.size - 1, end, begun=True)), most)
        payload = self._read(header.size, end, begun=True)
        if header.kind not in _TENSOR_KINDS:
            return Frame(header.kind, text=_decode(bytes(payload)))
        tensor = np.frombuffer(payload, DTYPES[header.dtype]).reshape(header.shape)
        return Frame(header.kind, tensor=tensor)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _send(self, payload: bytes | memoryview, until: float) -> None:
        try:
            self._link.settimeout(min(max(until - self._clock(), 1e-3), _LONGEST_WAIT))
            self._link.sendall(payload)
        except TimeoutError as error:
            raise SilentError("the other side did not take what was sent to it") from error
        except BrokenPipeError as error:
            raise ClosedError("the other side closed the connection") from error
        except OSError as error:
            raise BrokenError(f"the connection broke: {error.strerror}") from error

    def _read(self, size: int, until: float, *, begun: bool) -> bytearray:
        payload = bytearray(size)
        view, done = memoryview(payload), 0
        while done < size:
            count = self._read_some(view[done:], until, begun=begun)
            if count == 0 and begun:
                raise BrokenError("the connection ended in the middle of a frame")
            if count == 0:
                raise ClosedError("the other side closed the connection")
            done += count
        return payload

    def _read_some(self, view: memoryview, until: float, *, begun: bool) -> int:
        late = (
            StalledError("a frame was begun and not finished in time")
            if begun
            else SilentError("nothing came")
        )
        remaining = until - self._clock()
        if remaining <= 0:
            raise late
        try:
            self._link.settimeout(min(remaining, _LONGEST_WAIT))
            return self._link.recv_into(view)
        except TimeoutError:
            raise late from None
        except OSError as error:
            raise BrokenError(f"the connection broke: {error.strerror}") from error


def clean(text: str) -> str:
    """Drop control and formatting characters (colours, bidirectional overrides), but for line ends and tabs."""
    return "".join(
        c for c in text if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )


def _encode(text: str) -> bytes:
    payload = clean(text).encode("utf-8", "replace")
    return payload[:MAX_TEXT_BYTES].decode("utf-8", "ignore").encode("utf-8")


def _decode(payload: bytes) -> str:
    try:
        return clean(payload.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedError("a text that is not UTF-8") from error


def _parse(header: bytes, most: int) -> _Header:
    magic, kind, dtype, dimensions, *dims, size = HEADER.unpack(header)
    if magic != MAGIC:
        raise MalformedError(f"a frame that begins with {magic!r}, not with {MAGIC!r}")
    if kind not in Kind.__members__.values():
        raise MalformedError(f"a frame of unknown kind {kind}")
    if Kind(kind) not in _TENSOR_KINDS:
        return _parse_text(Kind(kind), size)
    if dtype >= len(DTYPES):
        raise MalformedError(f"a tensor of unknown dtype {dtype}")
    if dimensions > MAX_DIMENSIONS:
        raise MalformedError(f"a tensor of {dimensions} dimensions; at most {MAX_DIMENSIONS} are allowed")
    shape = tuple(dims[:dimensions])
    wanted = math.prod(shape) * DTYPES[dtype].itemsize
    if size != wanted:
        raise MalformedError(f"a tensor of shape {shape} with {size} bytes instead of {wanted}")
    if size > most:
        raise MalformedError(f"a tensor of {size} bytes where at most {most} were asked for")
    return _Header(Kind.TENSOR, dtype, shape, size)


def _parse_text(kind: Kind, size: int) -> _Header:
    if size > MAX_TEXT_BYTES:
        raise MalformedError(f"a text of {size} bytes; at most {MAX_TEXT_BYTES} are allowed")
    return _Header(kind, _TEXT, (), size)
