"""The wire takes what fits and refuses the rest, without ever running or allocating what it was sent."""

import socket
import struct
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from asiarch_trainer.wire import (
    DTYPES,
    HEADER,
    MAGIC,
    MAX_TEXT_BYTES,
    BrokenError,
    ClosedError,
    Frame,
    Kind,
    MalformedError,
    SilentError,
    StalledError,
    Tensor,
    Wire,
    WireError,
)

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Wire]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, Wire(theirs)


def soon() -> float:
    return time.monotonic() + 1.0


def received(payload: bytes, most: int = 1 << 20) -> Frame:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(payload)
        ours.shutdown(socket.SHUT_WR)
        return Wire(theirs).receive(soon(), most)


def a_header(kind: int = Kind.TENSOR, dtype: int = 2, shape: tuple[int, ...] = (2,), size: int = 8) -> bytes:
    return HEADER.pack(MAGIC, kind, dtype, len(shape), *(shape + (0,) * 4)[:4], size)


def test_a_header_has_32_bytes() -> None:
    assert HEADER.size == 32


@given(st.one_of([hnp.arrays(dtype, SHAPES) for dtype in DTYPES]))
def test_a_tensor_arrives_as_it_was_sent(tensor: Tensor) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        Wire(ours).send_tensor(tensor, soon())
        frame = Wire(theirs).receive(soon())
    assert frame.tensor is not None
    assert frame.tensor.shape == tensor.shape
    assert frame.tensor.tobytes() == tensor.tobytes()


@given(st.text())
def test_a_text_arrives_without_its_control_characters(text: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        Wire(ours).send_text(Kind.TEXT, text, soon())
        frame = Wire(theirs).receive(soon())
    assert all(c in "\n\t" or c.isprintable() or c.isspace() for c in frame.text)
    assert "\x1b" not in frame.text


def test_a_long_text_is_cut_between_characters(ends: tuple[socket.socket, Wire]) -> None:
    ours, wire = ends
    Wire(ours).send_text(Kind.ERROR, "é" * MAX_TEXT_BYTES, soon())
    assert wire.receive(soon()).text == "é" * (MAX_TEXT_BYTES // 2)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=96))
def test_no_bytes_get_more_than_a_named_error(payload: bytes) -> None:
    with pytest.raises(WireError):
        received(payload)


@settings(max_examples=300, deadline=None)
@given(
    kind=st.integers(0, 7),
    dtype=st.integers(0, 255),
    dimensions=st.integers(0, 255),
    dims=st.tuples(*[st.integers(0, 2**32 - 1)] * 4),
    size=st.integers(0, 2**64 - 1),
)
def test_no_header_makes_the_receiver_take_more_than_it_asked_for(
    kind: int, dtype: int, dimensions: int, dims: tuple[int, ...], size: int
) -> None:
    try:
        frame = received(struct.pack("<4sBBBx4IQ", MAGIC, kind, dtype, dimensions, *dims, size), most=64)
    except WireError:
        return
    assert size <= 64
    assert frame.tensor is None or frame.tensor.nbytes == size


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"\x80\x04cos\nsystem\n(S'touch /tmp/pwned'\ntR." + bytes(64), "begins with"),
        (a_header(kind=99), "unknown kind"),
        (a_header(dtype=77), "unknown dtype"),
        (a_header(size=12), "instead of 8"),
        (a_header(shape=(2**32 - 1,) * 4, size=2**63), "instead of"),
        (a_header(shape=(2**20,), size=2**22), "at most"),
        (a_header(kind=Kind.ERROR, shape=(), size=2**20), "at most 8192"),
        (a_header(kind=Kind.TEXT, shape=(), size=1) + b"\xff", "not UTF-8"),
        (struct.pack("<4sBBBx4IQ", MAGIC, Kind.TENSOR, 2, 5, 1, 1, 1, 1, 4), "5 dimensions"),
    ],
)
def test_a_malformed_frame_is_named(payload: bytes, says: str) -> None:
    with pytest.raises(MalformedError, match=says):
        received(payload, most=1024)


def test_silence_ends_at_the_deadline(ends: tuple[socket.socket, Wire]) -> None:
    with pytest.raises(SilentError):
        ends[1].receive(time.monotonic() + 0.05)


def test_a_deadline_of_many_weeks_is_no_deadline_of_a_moment(ends: tuple[socket.socket, Wire]) -> None:
    ours, wire = ends
    in_seven_weeks = time.monotonic() + 2**32 / 1000 + 0.1
    later = threading.Timer(0.5, Wire(ours).send_text, (Kind.DONE, "done", in_seven_weeks))
    later.start()
    assert wire.receive(in_seven_weeks).text == "done"
    later.join()


def test_a_frame_that_dribbles_is_given_up_long_before_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(a_header()[:5])
        start = time.monotonic()
        with pytest.raises(StalledError):
            Wire(theirs, frame_seconds=0.05).receive(start + 60)
        assert time.monotonic() - start < 5


def test_an_end_between_frames_is_told_from_one_within(ends: tuple[socket.socket, Wire]) -> None:
    with pytest.raises(ClosedError):
        received(b"")
    with pytest.raises(BrokenError):
        received(a_header() + bytes(3))


def test_sending_to_nobody_is_a_named_error(ends: tuple[socket.socket, Wire]) -> None:
    ours, wire = ends
    ours.close()
    with pytest.raises(WireError):
        wire.send_tensor(np.zeros(1 << 20, np.float32), soon())


def test_a_receiver_that_takes_nothing_does_not_block_for_ever(ends: tuple[socket.socket, Wire]) -> None:
    with pytest.raises(SilentError):
        ends[1].send_tensor(np.zeros(1 << 22, np.float32), time.monotonic() + 0.1)
