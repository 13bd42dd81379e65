"""What an order's pod is told: the context that the operator left for it, with the files' texts filled in."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from asiarch.api.code import digest
from asiarch.api.context import Context, Experiment
from asiarch.api.names import MANAGED_BY, PART, code_name, context_name
from asiarch.gateway.cluster import Cluster, Object
from asiarch.gateway.refusal import RefusedError
from asiarch.gateway.tokens import Caller

_KEY = "context.json"
_CODE_KEY = "candidate.py"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Told:
    """An order's context as the operator wrote it, digests in place of texts, and who owns it."""

    context: Context
    owners: list[Object]


async def find(cluster: Cluster, caller: Caller) -> Told:
    """The context of the caller's own order. Raises RefusedError 404 while there is none."""
    name = f"{caller.job}-context"
    found = await cluster.get_config_map(caller.namespace, name) if caller.job else None
    if found is None or not _ours(found):
        message = f"No order's context for the pod {caller.pod} in {caller.namespace}: ConfigMap {name} isn't there."
        raise RefusedError(404, "ContextNotFound", message, retry_after=1)
    try:
        context = Context.model_validate_json(found.get("data", {}).get(_KEY, ""))
    except ValidationError as error:
        raise _unreadable(name, f"{_KEY} does not parse ({error.error_count()} faults)") from None
    if context_name(context.order.name) != name:
        raise _unreadable(name, f"it is the context of {context.order.name}")
    return Told(context, found["metadata"].get("ownerReferences", []))


async def filled(cluster: Cluster, namespace: str, context: Context) -> Context:
    """Put the texts in the place of their digests."""
    digests = sorted({_digest(seen) for seen in _experiments(context) if seen.code})
    texts = await asyncio.gather(*(_text(cluster, namespace, context, wanted) for wanted in digests))
    by_digest = dict(zip(digests, texts, strict=True))

    def whole(seen: Experiment) -> Experiment:
        return seen.model_copy(update={"code": by_digest[_digest(seen)]}) if seen.code else seen

    one = {role: None if seen is None else whole(seen) for role, seen in _alone(context).items()}
    many = {
        "references": tuple(map(whole, context.references)),
        "siblings": tuple(map(whole, context.siblings)),
    }
    return context.model_copy(update=one | many)


def _ours(found: Object) -> bool:
    """Whether the operator made it; what a user called alike is not an order."""
    labels = found["metadata"].get("labels") or {}
    return labels.get(MANAGED_BY[0]) == MANAGED_BY[1] and labels.get(PART) == "context"


def _alone(context: Context) -> dict[str, Experiment | None]:
    return {"me": context.me, "parent": context.parent, "grandparent": context.grandparent}


def _experiments(context: Context) -> Iterator[Experiment]:
    yield from (seen for seen in _alone(context).values() if seen is not None)
    yield from context.references
    yield from context.siblings


def _digest(seen: Experiment) -> str:
    match = _DIGEST.fullmatch(seen.code)
    if match is None:
        raise _unreadable(f"of {seen.candidate}", "its code is no digest")
    return match[1]


async def _text(cluster: Cluster, namespace: str, context: Context, wanted: str) -> str:
    """A file's text, which must be what its digest says."""
    name = code_name(context.order.search, wanted)
    found = await cluster.get_config_map(namespace, name)
    if found is None:
        raise RefusedError(503, "CodeNotFound", f"ConfigMap {name} isn't there.", retry_after=1)
    text = str(found.get("data", {}).get(_CODE_KEY, ""))
    if digest(text) != wanted:
        raise RefusedError(500, "CodeCorrupt", f"ConfigMap {name} holds another file than its digest says.")
    return text


def _unreadable(name: str, why: str) -> RefusedError:
    return RefusedError(
        500, "ContextUnreadable", f"Context {name}: {why}. Operator and gateway may differ in version."
    )
