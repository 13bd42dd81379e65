"""How an instantly played agent's result leaves its pod: through the real gateway, or for benchmarks past it."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import aiohttp

from asiarch.api.order import Result
from tests.cluster.kubelet.api import Api, Object, RefusedError
from tests.cluster.kubelet.play import another, written

_LATER = {404, 408, 429, 500, 502, 503, 504}
_PAUSE_SECONDS = 0.3
_TIMEOUT = aiohttp.ClientTimeout(total=20.0)


@dataclass(frozen=True)
class Sender:
    """One pod's way out: a gateway's URL and the pod's token; without a URL, a ConfigMap that the kubelet makes."""

    api: Api
    pod: Object
    gateway: str
    token: str

    async def send(self, result: Result) -> int:
        """Leave a result; the gateway's status code once it is definite."""
        if not self.gateway:
            await self._store(result)
            return 201
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        while True:
            try:
                async with self.api.session.post(
                    f"{self.gateway}/v1/result",
                    data=written(result).encode(),
                    headers=headers,
                    timeout=_TIMEOUT,
                ) as answer:
                    if answer.status not in _LATER:
                        return answer.status
                    pause = float(answer.headers.get("Retry-After", _PAUSE_SECONDS))
            except (aiohttp.ClientError, TimeoutError, OSError):
                pause = _PAUSE_SECONDS
            await asyncio.sleep(pause)

    async def send_again(self, result: Result) -> str:
        """Leave the same result once more, then another one; what the gateway did wrong, or nothing."""
        same, other = await self.send(result), await self.send(another(result))
        return "" if (same, other) == (200, 409) else f"a second result: {same}, another result: {other}"

    async def _store(self, result: Result) -> None:
        """Make what the gateway would have made."""
        metadata = self.pod["metadata"]
        space = f"/api/v1/namespaces/{metadata['namespace']}/configmaps"
        job = metadata["name"].rpartition("-")[0]
        context = await self._context(f"{space}/{job}-context")
        labels: dict[str, Any] = {**context["labels"], "asiarch.dev/part": "result"}
        body: Object = {
            "metadata": {
                "name": f"{job}-result",
                "labels": labels,
                "annotations": {"asiarch.dev/order": result.order, "asiarch.dev/pod-uid": metadata["uid"]},
                "ownerReferences": context.get("ownerReferences", []),
            },
            "immutable": True,
            "data": {"result.json": json.dumps(json.loads(written(result)))},
        }
        try:
            await self.api.call("POST", space, body)
        except RefusedError as error:
            if error.status != 409:
                raise

    async def _context(self, path: str) -> Object:
        while (found := await self.api.find(path)) is None:  # noqa: ASYNC110 - nobody rings a bell here
            await asyncio.sleep(_PAUSE_SECONDS)
        metadata: Object = found["metadata"]
        return metadata
