"""The referee's program: check the text, let the player in, run the rung's task, write the result last."""

import os
import socket
import time
from pathlib import Path

from asiarch.api.code import check, digest
from asiarch.api.order import MAX_CODE_BYTES
from asiarch.api.reason import Reason
from asiarch_trainer.referee.match import Match
from asiarch_trainer.referee.player import Player
from asiarch_trainer.referee.record import Record
from asiarch_trainer.referee.result import result, write
from asiarch_trainer.referee.streams import Streams
from asiarch_trainer.referee.tasks import TASKS
from asiarch_trainer.referee.verdict import Verdict
from asiarch_trainer.settings import Settings, read_code, settings
from asiarch_trainer.wire import Wire

_MARGIN_SECONDS = 5.0
_MARGIN_SHARE = 0.1
_ACCEPT_SECONDS = 60.0


def main() -> int:
    """Referee one order; 0 as soon as a result was written, whatever it says."""
    given = settings(os.environ)
    assert given.result is not None, "ASIARCH_RESULT names no file"
    start = time.monotonic()
    record = Record()
    reason, message = _refereed(given, record, start)
    write(given.result, result(given.order, record, time.monotonic() - start, reason, message))
    return 0


def _refereed(given: Settings, record: Record, start: float) -> tuple[Reason | None, str]:
    """Run the order to whatever end; an error of our own is never the candidate's fault."""
    try:
        _referee(given, record, start)
    except Verdict as verdict:
        return verdict.reason, verdict.message
    except Exception as error:  # noqa: BLE001 - reported as the result, and nothing else may be left unsaid
        return Reason.INFRASTRUCTURE_FAILED, f"The referee failed: {type(error).__name__}: {error}"[:1024]
    return None, ""


def _referee(given: Settings, record: Record, start: float) -> None:
    order = given.order
    deadline = start + order.seconds - min(_MARGIN_SECONDS, _MARGIN_SHARE * order.seconds)
    if order.rung is None:
        raise Verdict(Reason.INFRASTRUCTURE_FAILED, f"Order {order.name} names no rung.")
    accepted = _inspect(given)
    player = Player(Wire(_accept(given.socket, deadline)), deadline)
    try:
        player.load(accepted)
        TASKS[order.rung.task](Match(order, player, record, Streams(order.seed, order.index), time.monotonic))
    finally:
        player.stop()


def _inspect(given: Settings) -> str:
    """Hold the candidate's text against its digest and the list of what a file may contain, before anything runs."""
    size = given.code.stat().st_size
    if size > MAX_CODE_BYTES:
        raise Verdict(Reason.INVALID_SOURCE, f"The file has {size} bytes; wanted at most {MAX_CODE_BYTES}.")
    try:
        text = read_code(given.code)
    except UnicodeDecodeError as error:
        raise Verdict(Reason.INVALID_SOURCE, f"The file is not UTF-8: {error}.") from error
    found, wanted = digest(text), given.order.code
    if wanted is not None and found != wanted:
        raise Verdict(
            Reason.INFRASTRUCTURE_FAILED, f"The file's digest is {found}; the order wants {wanted}."
        )
    refusals = check(text)
    if refusals:
        lines = " ".join(f"Line {refusal.line}: {refusal.message}" for refusal in refusals)
        raise Verdict(refusals[0].reason, f"The file was not run. {lines}")
    return found


def _accept(path: Path, deadline: float) -> socket.socket:
    """Let one player in, and nobody after it.

    One that never comes has not run the candidate yet, so that is not the candidate's fault.
    """
    path.unlink(missing_ok=True)
    wait = min(_ACCEPT_SECONDS, deadline - time.monotonic())
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        # The player runs as another user; who may reach the directory decides who may connect.
        path.chmod(0o666)
        listener.listen(1)
        listener.settimeout(max(wait, 1e-3))
        try:
            return listener.accept()[0]
        except TimeoutError as error:
            raise Verdict(
                Reason.INFRASTRUCTURE_FAILED, f"No player connected within {wait:.0f} s."
            ) from error
        finally:
            path.unlink(missing_ok=True)
