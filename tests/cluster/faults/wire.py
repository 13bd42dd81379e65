"""Pieces of HTTP/1.1 that every part of the proxy needs: what is passed on, how to answer, how to break off."""

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

_OWN = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)
_REASONS = {
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


def passed_on(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Headers without those that belong to one connection."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _OWN)


def status(code: int) -> dict[str, Any]:
    """A `Status` as the API server would write it."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"fault proxy: {_REASONS[code]}",
        "reason": _REASONS[code],
        "code": code,
    }


def refusal(code: int, retry_after: int | None = None) -> web.Response:
    """An answer of the proxy's own."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    body = json.dumps(status(code)).encode()
    return web.Response(status=code, body=body, content_type="application/json", headers=headers)


def reset(transport: Any) -> None:
    """Break a connection off with RST, whatever is still in its buffers."""
    if transport is None or transport.is_closing():
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def broken(request: web.Request) -> web.Response:
    """Answer by breaking the connection off; the response is never seen."""
    reset(request.transport)
    return web.Response()


def is_whole(request: web.Request) -> bool:
    """Whether the connection is still there to answer on."""
    return request.transport is not None and not request.transport.is_closing()
