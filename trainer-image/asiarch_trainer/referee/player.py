"""The player as the referee sees it: asked, timed, and not believed.

Every question has an exact answer: kind, dtype and shape are known before memory is taken for it. Whatever else
comes, or does not come, ends the order with a named reason.

Shapes: B batch, T time, C width, V vocabulary, P all parameters of a mixer.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asiarch.api.reason import Reason
from asiarch_trainer.referee.verdict import Verdict
from asiarch_trainer.wire import (
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

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]

CLAIMABLE = frozenset(
    {
        Reason.CODE_ERROR,
        Reason.OUT_OF_MEMORY,
        Reason.INTERFACE_MISMATCH,
        Reason.WRONG_SHAPE,
        Reason.INVALID_SOURCE,
    }
)
"""What a player may say of itself; all of it to its own disadvantage."""

MAX_MIXER_PARAMETERS = 1 << 26

_COMPILED = ("kernels.hits", "kernels.misses", "kernels.others")
_KERNELS = ("blocks.kernel", "blocks.fla", "blocks.reference", *_COMPILED)
"""Claims about the building blocks that a candidate called, in the order in which the player tells them."""


@dataclass(frozen=True)
class Host:
    """What the player is to build around the candidate's mixers, and how it is to train it."""

    vocabulary: int
    width: int
    heads: int
    layers: int
    seed: int
    steps: int
    learning_rate: float


@dataclass(frozen=True)
class GrowthClaim:
    """What the player says of how its work grows with the length of its input."""

    exponent: float
    worst_exponent: float
    worst_share: float
    uncovered: int
    work_per_token: float
    worst_place: str
    uncovered_names: tuple[str, ...]


class Player:
    """One connection to one player."""

    def __init__(self, wire: Wire, deadline: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Answers are awaited until `deadline` on `clock`, and no longer."""
        self._wire = wire
        self._deadline = deadline
        self._clock = clock
        self._vocabulary = 0
        self._asked = self._answered = clock()

    @property
    def seconds(self) -> float:
        """How long the last answer took, by our clock."""
        return self._answered - self._asked

    def load(self, digest: str) -> None:
        """Let the candidate's file be run for the first time."""
        self._ask("loading the file", {"do": "load", "digest": digest})
        self._done("loading the file")

    def build(self, host: Host) -> None:
        """Make a fresh model."""
        self._vocabulary = host.vocabulary
        what = f"building {host.layers} mixers of width {host.width}"
        self._ask(what, {"do": "build", **asdict(host)})
        self._done(what)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Ask a copy of the player, which ends with the block; what the copy was asked the player itself never saw."""
        what = "stepping aside"
        self._ask(what, {"do": "aside"})
        self._done(what)
        yield
        self._ask(what, {"do": "stop"})
        self._done(what)

    def mix(self, x_BTC: Floats, *, layer: int = 0, train: bool = False) -> Floats:
        """Ask one mixer for its output."""
        what = f"Mixer.forward with x_BTC of shape {x_BTC.shape}{_mode(train=train)}"
        self._ask(what, {"do": "mix", "layer": layer, "train": train}, x_BTC)
        return self._answer(what, x_BTC.shape, np.float32)

    def logits(self, tokens_BT: Integers, *, train: bool = False) -> Floats:
        """Ask the whole model for logits_BTV."""
        what = f"the model with tokens of shape {tokens_BT.shape}{_mode(train=train)}"
        self._ask(what, {"do": "logits", "train": train}, tokens_BT)
        return self._answer(what, (*tokens_BT.shape, self._vocabulary), np.float32)

    def step(self, batch_2BT: Integers) -> float:
        """Let it learn from one batch (tokens, then targets); return the loss that it claims."""
        self._ask("a training step", {"do": "step"}, batch_2BT)
        return float(self._answer("a training step", (1,), np.float64)[0])

    def weights(self, layer: int | None) -> Floats:
        """Have one mixer's weights, or the whole model's, exported, flat; their number is counted here."""
        what = "exporting the weights"
        self._ask(what, {"do": "weights", "layer": layer})
        tensor = self._receive(what, Kind.TENSOR, 4 * MAX_MIXER_PARAMETERS).tensor
        if tensor is None or tensor.ndim != 1 or tensor.dtype != np.float32:
            raise Verdict(Reason.PROTOCOL_ERROR, "The exported weights are not one flat float32 tensor.")
        return tensor

    def shake(self, seed: int) -> None:
        """Replace all weights by random ones."""
        self._ask("drawing weights anew", {"do": "shake", "seed": seed})
        self._done("drawing weights anew")

    def cost(self, width: int, short: int, long: int) -> GrowthClaim:
        """Ask how its work grows from one length to another."""
        what = f"Mixer.forward with x_BTC of shape (1, {long}, {width})"
        self._ask(what, {"do": "cost", "width": width, "short": short, "long": long})
        numbers = self._answer(what, (5,), np.float64)
        place, names = _read_places(self._receive(what, Kind.TEXT, 0).text)
        finite = np.nan_to_num(numbers, nan=9e9, posinf=9e9, neginf=-9e9)
        exponent, worst, share, uncovered, work = (float(n) for n in finite)
        return GrowthClaim(exponent, worst, share, int(uncovered), work, place, names)

    def kernels(self) -> dict[str, float]:
        """Ask how often building blocks took which way, and what their kernels found compiled; only what there was.

        What was compiled is told from a GPU alone, and there even where it is nothing.
        """
        what = "telling of its kernels"
        self._ask(what, {"do": "kernels"})
        found = dict(zip(_KERNELS, self._answer(what, (len(_KERNELS),), np.float64).tolist(), strict=True))
        return {n: count for n, count in found.items() if count > 0 or (n in _COMPILED and count == 0)}

    def stop(self) -> None:
        """Let it go; it may be gone already."""
        try:
            self._wire.send_text(Kind.REQUEST, json.dumps({"do": "stop"}), self._clock() + 1.0)
        except WireError:
            return
        finally:
            self._wire.close()

    def _ask(self, what: str, request: dict[str, Any], tensor: Tensor | None = None) -> None:
        self._asked = self._clock()
        try:
            self._wire.send_text(Kind.REQUEST, json.dumps(request), self._deadline)
            if tensor is not None:
                self._wire.send_tensor(tensor, self._deadline)
        except WireError as error:
            raise _verdict(error, what) from error

    def _answer(self, what: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Tensor:
        tensor = self._receive(what, Kind.TENSOR, math.prod(shape) * np.dtype(dtype).itemsize).tensor
        if tensor is None or tensor.shape != shape or tensor.dtype != dtype:
            found = "nothing" if tensor is None else f"{tensor.dtype} of shape {tensor.shape}"
            wanted = f"{np.dtype(dtype)} of shape {shape}"
            raise Verdict(Reason.PROTOCOL_ERROR, f"After {what} came {found}; wanted {wanted}.")
        return tensor

    def _done(self, what: str) -> None:
        self._receive(what, Kind.DONE, 0)

    def _receive(self, what: str, kind: Kind, most: int) -> Frame:
        try:
            frame = self._wire.receive(self._deadline, most)
        except WireError as error:
            raise _verdict(error, what) from error
        self._answered = self._clock()
        if frame.kind == Kind.ERROR:
            raise _claimed(frame.text, what)
        if frame.kind != kind:
            found = f"After {what} came a frame of kind {frame.kind.name}"
            raise Verdict(Reason.PROTOCOL_ERROR, f"{found}; wanted {kind.name}.")
        return frame


def _mode(*, train: bool) -> str:
    return " in train mode" if train else ""


def _verdict(error: WireError, what: str) -> Verdict:
    match error:
        case SilentError():
            message = f"The player had not answered {what} when the order's time was up."
            return Verdict(Reason.DEADLINE_EXCEEDED, message)
        case ClosedError():
            return Verdict(Reason.NO_RESULT, f"The player ended during {what}, without an answer.")
        case MalformedError():
            return Verdict(Reason.PROTOCOL_ERROR, f"After {what} the player sent {error}.")
        case StalledError():
            return Verdict(Reason.PROTOCOL_ERROR, f"After {what}: {error}.")
        case _:
            return Verdict(Reason.CRASHED, f"The player was lost during {what}: {error}.")


def _claimed(text: str, what: str) -> Verdict:
    word, _, says = text.partition("\n")
    if word not in {str(reason) for reason in CLAIMABLE}:
        message = f"After {what} the player reported {word[:40]!r}, which no player may say."
        return Verdict(Reason.PROTOCOL_ERROR, message)
    return Verdict(Reason(word), f"{what[0].upper()}{what[1:]} failed. {says}")


def _read_places(text: str) -> tuple[str, tuple[str, ...]]:
    try:
        place, names = json.loads(text)
        return str(place)[:80], tuple(str(name)[:40] for name in names[:8])
    except (ValueError, TypeError, RecursionError) as error:
        raise Verdict(Reason.PROTOCOL_ERROR, "The player's account of its cost can't be read.") from error
