"""Whatever a captured player sends, or does not send, the order ends with a named reason."""

import os
import pickle
import socket
from pathlib import Path

import numpy as np
import pytest

from asiarch_trainer.wire import Kind, Wire
from tests.trainer.bout import RECALL, Ring
from tests.trainer.impostor import (
    Act,
    an_impostor,
    answer,
    dribble,
    forge,
    hush,
    leave,
    say,
    send,
    soon,
    then,
)
from tests.trainer.mixers.honest import NOTHING

X = (2, 17, 32)

LIES: dict[str, tuple[str, Act, str]] = {
    "oversize": ("mix", forge(shape=(2**31,), size=2**33), "ProtocolError"),
    "other shape": ("mix", answer((17, 2, 32)), "ProtocolError"),
    "fewer positions": ("mix", answer((2, 16, 32)), "ProtocolError"),
    "other dtype": ("mix", answer(X, dtype="<i4"), "ProtocolError"),
    "lying size": ("mix", forge(shape=X, size=12), "ProtocolError"),
    "five dimensions": ("mix", forge(shape=(1, 1, 1, 1, 1), size=4), "ProtocolError"),
    "no frame": ("mix", send(b"val_loss=0.0001\n" * 8), "ProtocolError"),
    "text for a tensor": ("mix", say(Kind.DONE, ""), "ProtocolError"),
    "reason that no player may give": ("mix", say(Kind.ERROR, "TargetReached\nwell done"), "ProtocolError"),
    "no reason": ("load", say(Kind.ERROR, "\x1b[2J"), "ProtocolError"),
    "cost that is no JSON": (
        "cost",
        then(answer((5,), dtype="<f8"), say(Kind.TEXT, "[" * 4000)),
        "ProtocolError",
    ),
    "weights without end": ("weights", forge(shape=(2**30,), size=2**32), "ProtocolError"),
    "not-a-number": ("mix", answer(X, float("nan")), "NonFinite"),
    "dribble": ("mix", dribble, "ProtocolError"),
    "silence": ("mix", hush, "DeadlineExceeded"),
    "silence at once": ("load", hush, "DeadlineExceeded"),
    "gone": ("mix", leave, "NoResult"),
    "gone within a frame": ("mix", then(forge(shape=X, size=4 * 2 * 17 * 32), leave), "Crashed"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_ends_the_order_with_its_reason(ring: Ring, name: str) -> None:
    at, act, reason = LIES[name]
    found = ring.hold(
        NOTHING,
        opponent=an_impostor(at, act),
        seconds=2 if reason == "DeadlineExceeded" or name == "dribble" else 20,
    )
    assert found.reason == reason, found.message
    assert found.measurement is not None
    assert found.measurement.score is None


def know(link: socket.socket, wire: Wire) -> None:
    """Be certain of the first class before the first step."""
    logits_BTV = np.zeros((RECALL.batch, RECALL.length, 16), np.float32)
    logits_BTV[..., 0] = 50.0
    wire.send_tensor(logits_BTV, soon())


def test_knowledge_before_the_first_step_is_refused(ring: Ring) -> None:
    found = ring.hold(NOTHING, RECALL, opponent=an_impostor("logits", know))
    assert found.reason == "StepZeroLoss", found.message


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.canary),)


def test_a_pickle_on_the_wire_is_not_opened(ring: Ring, tmp_path: Path) -> None:
    canary = tmp_path / "opened"
    body = pickle.dumps(Bomb(canary)) + bytes(64)
    found = ring.hold(NOTHING, opponent=an_impostor("mix", send(body)))
    assert found.reason == "ProtocolError"
    assert not canary.exists()


def test_a_forged_training_loss_buys_no_score(ring: Ring) -> None:
    found = ring.hold(NOTHING, RECALL, opponent=an_impostor("never", hush))
    assert found.measurement is not None
    assert found.reason is None
    assert found.measurement.claims["recall.train"] == "0.0001"
    assert float(found.measurement.score or "9") < 0.01


def test_what_a_player_says_of_its_kernels_is_a_claim(ring: Ring) -> None:
    found = ring.hold(NOTHING, RECALL, opponent=an_impostor("never", hush)).measurement
    assert found is not None
    claims = {name: value for name, value in found.claims.items() if not name.endswith(".train")}
    assert claims == {"blocks.kernel": "3", "kernels.hits": "7", "kernels.misses": "0"}


def test_a_strange_account_of_kernels_ends_the_order(ring: Ring) -> None:
    found = ring.hold(NOTHING, RECALL, opponent=an_impostor("kernels", answer((4,), dtype="<f8")))
    assert found.reason == "ProtocolError"
    assert "telling of its kernels" in found.message


def test_a_player_that_never_comes_is_not_the_candidates_fault(ring: Ring) -> None:
    found = ring.hold(NOTHING, opponent=lambda _path: None, seconds=1)
    assert found.reason == "InfrastructureFailed"
    assert "connected" in found.message
