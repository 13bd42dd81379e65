"""One agent order per process: reads its order and context, does it, writes one result last.

The environment names everything: `ASIARCH_ORDER` (the order, JSON), `ASIARCH_CONTEXT` (path of the context) and
`ASIARCH_RESULT` (path of the result). Importing this module starts nothing and is fast: it is loaded once into a warm
process that forks for each order.
"""

import os
import sys
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
    """Do the order; 0 as soon as a result is written, whatever it says."""
    order = Order.model_validate_json(os.environ["ASIARCH_ORDER"])
    result = done(order, Path(os.environ["ASIARCH_CONTEXT"]))
    write_whole(Path(os.environ["ASIARCH_RESULT"]), result.model_dump_json(by_alias=True))
    return 0


def done(order: Order, context: Path) -> Result:
    """Do one order; what goes wrong inside an agent is a result too."""
    blank = Result(order=order.name, attempt=order.attempt, index=order.index)
    try:
        work = ROLES[order.kind](Context.model_validate_json(context.read_bytes()))
    except Exception as error:  # noqa: BLE001 - reported as the result, and nothing else may be left unsaid
        message = f"The agent failed to {order.kind}: {type(error).__name__}: {error}"
        return blank.model_copy(update={"reason": Reason.AGENT_FAILED, "message": message[:_MAX_MESSAGE]})
    return blank.model_copy(update={_FIELDS[type(work)]: work})


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
