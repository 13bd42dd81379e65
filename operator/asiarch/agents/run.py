"""One agent order per process: reads its order and context, does it, writes one result last.

The environment names everything: `ASIARCH_ORDER` (the order, JSON); in a pod `ASIARCH_GATEWAY` (its URL) and
`ASIARCH_TOKEN` (path of the token to show there); on a laptop `ASIARCH_CONTEXT` and `ASIARCH_RESULT` (paths). Importing
this module starts nothing and is fast: it is loaded once into a warm process that forks for each order.
"""

import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from asiarch.agents.grammar.analyst import analyze
from asiarch.agents.grammar.engineer import build, repair
from asiarch.agents.grammar.researcher import propose
from asiarch.api.context import Context
from asiarch.api.order import Finding, Order, OrderKind, Proposal, Result, Writing
from asiarch.api.reason import Reason

_MAX_MESSAGE = 1024

Work = Proposal | Writing | Finding

ROLES: Mapping[OrderKind, Callable[[Context], Work]] = {
    "propose": propose,
    "build": build,
    "repair": repair,
    "analyze": analyze,
}
"""Who does what."""

_FIELDS: Mapping[type[Work], str] = {Proposal: "proposal", Writing: "writing", Finding: "finding"}


def main() -> int:
    """Do the order; 0 as soon as a result is stored, whatever it says.

    A pod ends with EX_TEMPFAIL when the gateway did not serve it, and with EX_DATAERR when it refused what was brought.
    """
    order = Order.model_validate_json(os.environ["ASIARCH_ORDER"])
    url = os.environ.get("ASIARCH_GATEWAY")
    if url:
        return _through_gateway(order, url)
    result = done(order, Path(os.environ["ASIARCH_CONTEXT"]).read_bytes)
    write_whole(Path(os.environ["ASIARCH_RESULT"]), result.model_dump_json(by_alias=True))
    return 0


def done(order: Order, context: Callable[[], bytes]) -> Result:
    """Do one order; what goes wrong inside an agent is a result too."""
    blank = Result(order=order.name, attempt=order.attempt, index=order.index)
    try:
        work = ROLES[order.kind](Context.model_validate_json(context()))
    except Exception as error:  # noqa: BLE001 - reported as the result, and nothing else may be left unsaid
        message = f"The agent failed to {order.kind}: {type(error).__name__}: {error}"
        return blank.model_copy(update={"reason": Reason.AGENT_FAILED, "message": _plain(message)})
    return blank.model_copy(update={_FIELDS[type(work)]: work})


def _through_gateway(order: Order, url: str) -> int:
    """Do the order of a pod: what it is told comes from the gateway, and its result is stored there."""
    # Half a second to load, which nobody pays for whose context is a file.
    from asiarch.agents.gateway import Gateway, GatewayError, Patience, UnansweredError  # noqa: PLC0415

    deadline = time.monotonic() + order.seconds
    patience = Patience(deadline, time.monotonic, time.sleep, random.SystemRandom().random)
    gateway = Gateway(url, Path(os.environ["ASIARCH_TOKEN"]), patience)
    try:
        context = gateway.context()
        gateway.store(done(order, lambda: context).model_dump_json(by_alias=True))
    except GatewayError as error:
        # The last line of a pod's log becomes its termination message.
        sys.stderr.write(f"{order.name}: {error}\n")
        return os.EX_TEMPFAIL if isinstance(error, UnansweredError) else os.EX_DATAERR
    return 0


def _plain(message: str) -> str:
    """A message as the API takes it: short, and without half characters and control characters."""
    shown = (c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in message)
    return "".join(shown)[:_MAX_MESSAGE]


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


if __name__ == "__main__":
    sys.exit(main())
