"""What came of an order: checked to the last character, kept once, never changed."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from asiarch.api.fault import shown
from asiarch.api.names import CANDIDATE, MANAGED_BY, ORDER, PART, POD_UID, SEARCH, result_name
from asiarch.api.order import Order, OrderKind, Result, wrong_reason
from asiarch.gateway.cluster import AlreadyExistsError, Cluster, Object, UnavailableError
from asiarch.gateway.contexts import Told
from asiarch.gateway.refusal import RefusedError
from asiarch.gateway.tokens import Caller

KEY = "result.json"
_ANSWERS: Mapping[OrderKind, str] = {
    "propose": "proposal",
    "build": "writing",
    "repair": "writing",
    "analyze": "finding",
}
"""What each kind of order must bring, unless it says why not."""
_PARTS = ("proposal", "writing", "finding", "measurement")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_TOLD = 3
"""Faults that a refusal names."""


def read(body: bytes, order: Order) -> Result:
    """The result in a request's body, which must be this order's. Raises RefusedError 400."""
    try:
        result = Result.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise RefusedError(400, "ResultInvalid", f"Not a result: {_faults(error)}") from None
    for field in ("order", "attempt", "index"):
        found, wanted = getattr(result, field), getattr(order, "name" if field == "order" else field)
        if found != wanted:
            message = f"{field}: found {shown(found)}, wanted {shown(wanted)}, as the pod's order says."
            raise RefusedError(400, "WrongOrder", message)
    if wrong := wrong_reason(result):
        raise RefusedError(400, "WrongReason", wrong)
    brought = [part for part in _PARTS if getattr(result, part) is not None]
    wanted_parts = [_ANSWERS.get(order.kind)] if result.reason is None else []
    if brought != wanted_parts:
        message = f"An order to {order.kind} brings {_ANSWERS.get(order.kind)} or a reason; found {brought}."
        raise RefusedError(400, "WrongAnswer", message)
    if any(_CONTROL.search(text) for text in _texts(result.model_dump(mode="json"))):
        raise RefusedError(
            400, "ControlCharacter", "Texts may hold no control characters but breaks and tabs."
        )
    return result


async def keep(cluster: Cluster, caller: Caller, told: Told, result: Result) -> bool:
    """Keep a result; true if it is new, false if the same one is kept already.

    Raises RefusedError: 409 for another result of this order, 503 while what bears its name is of somebody else's.
    """
    body = _config_map(caller, told, result)
    try:
        await cluster.create_config_map(caller.namespace, body)
    except AlreadyExistsError:
        name = body["metadata"]["name"]
        kept = await cluster.get_config_map(caller.namespace, name)
        if kept is None:
            raise UnavailableError(f"ConfigMap {name} came and went") from None
        owner, ours = _controller(kept["metadata"].get("ownerReferences") or ()), _controller(told.owners)
        if owner and owner != ours:
            message = f"ConfigMap {name} belongs to something else, a predecessor say; once it is gone this is kept."
            raise RefusedError(503, "NameTaken", message, retry_after=1) from None
        # What belongs to nobody stays, so that there is nothing to wait for.
        if owner != ours or not _says(kept, result):
            message = f"The order {result.order} has another result already; the first one stands."
            raise RefusedError(409, "ResultExists", message) from None
        return False
    return True


def _says(kept: Object, result: Result) -> bool:
    """Whether a kept result says the same; what it cost was counted when it came."""
    try:
        first = Result.model_validate_json((kept.get("data") or {}).get(KEY, ""))
    except ValidationError:
        return False
    return first == result.model_copy(update={"cost": first.cost})


def _controller(owners: Iterable[Object]) -> str:
    """The uid of the owner that controls an object; empty for none."""
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), "")


def _config_map(caller: Caller, told: Told, result: Result) -> Object:
    order = told.context.order
    return {
        "metadata": {
            "name": result_name(order.name),
            "namespace": caller.namespace,
            "labels": {
                MANAGED_BY[0]: MANAGED_BY[1],
                SEARCH: order.search,
                CANDIDATE: order.candidate,
                PART: "result",
            },
            "annotations": {ORDER: order.name, POD_UID: caller.uid},
            "ownerReferences": told.owners,
        },
        "immutable": True,
        "data": {KEY: result.model_dump_json(by_alias=True)},
    }


def _faults(error: ValidationError) -> str:
    """The first faults by place and kind; nothing of what was sent, but the names of fields."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{_place(fault['loc'])}: {fault['msg'][:200]}" for fault in faults[:_TOLD]]
    more = f" (and {len(faults) - _TOLD} more)" if len(faults) > _TOLD else ""
    return "; ".join(told) + more


def _place(location: tuple[int | str, ...]) -> str:
    return shown(".".join(map(str, location)))[1:-1] or "body"


def _texts(value: Any) -> Iterator[str]:
    """Every text in a plain value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, below in value.items():
            yield name
            yield from _texts(below)
    elif isinstance(value, list):
        for below in value:
            yield from _texts(below)
