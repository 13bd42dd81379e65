"""An agent's way to the gateway: reads its context there and leaves its result there, however often that must be tried.

A pod's first connection may take seconds or fail until the network policy lets it out, and its context may not be
there yet; so all that may pass is tried again, at random distances, until the order's deadline. What only a person can
mend, such as a token or an account that is not welcome, is tried a few times. Only what the agent itself brought can be
refused for good.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

_FIRST, _LAST = 0.5, 10.0
"""Seconds that a distance is drawn from at first, doubled at each further try up to the last."""
_CONNECT, _ANSWER = 5.0, 30.0
_PASSING = frozenset({404, 408, 429, 500, 502, 503, 504})
"""What may be different later: not there yet, too often, out of order."""
_AT_FAULT = frozenset({400, 409, 413})
"""What the gateway says of a result that it will never take."""
_TRIES = 5
"""How often all else is tried, such as 401 and 403: an API server may know a token a moment later."""
_SHOWN = 300


class GatewayError(Exception):
    """The gateway refused for good what the agent brought; nothing is stored."""


class UnansweredError(GatewayError):
    """The gateway did not serve the agent; nothing is known to be stored, and another attempt may do better."""


@dataclass(frozen=True)
class Patience:
    """How long to try: `clock` and `deadline` are monotonic seconds, `chance` draws from [0, 1)."""

    deadline: float
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    chance: Callable[[], float]

    @property
    def left(self) -> float:
        """Seconds to the deadline."""
        return self.deadline - self.clock()

    def wait(self, tries: int, floor: float) -> bool:
        """Wait before the next try; false when the deadline comes first."""
        seconds = max(floor, self.chance() * min(_LAST, _FIRST * 2.0 ** min(tries, 10)))
        if seconds >= self.left:
            return False
        self.sleep(seconds)
        return True


@dataclass(frozen=True)
class Gateway:
    """The gateway at `url`; the token is read again for every try, because it rotates."""

    url: str
    token: Path
    patience: Patience

    def context(self) -> bytes:
        """Read what the order's agent may look at. Raises GatewayError."""
        return self._ask("GET", "/v1/context")

    def store(self, result: str) -> None:
        """Leave the result; returns only when it is stored. Raises GatewayError."""
        self._ask("POST", "/v1/result", result.encode())

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        with httpx.Client(base_url=self.url, trust_env=False, follow_redirects=False) as client:
            tries = refused = 0
            while True:
                floor = 0.0
                try:
                    reply = self._answer(client, method, path, body)
                    if reply.is_success:
                        return reply.content
                    trouble, floor = _told(reply), _retry_after(reply)
                    if body is not None and reply.status_code in _AT_FAULT:
                        raise GatewayError(f"{method} {path}: {trouble}")
                    refused += reply.status_code not in _PASSING
                    if refused >= _TRIES:
                        raise UnansweredError(f"{method} {path}: refused {refused} times; {trouble}")
                except httpx.UnsupportedProtocol as error:
                    raise UnansweredError(f"{self.url}: {error}") from error
                except (httpx.TransportError, OSError) as error:
                    trouble = f"{type(error).__name__}: {error}"
                if not self.patience.wait(tries, floor):
                    message = f"{method} {path}: no success before the order's deadline, {tries + 1} tries; {trouble}"
                    raise UnansweredError(message)
                tries += 1

    def _answer(self, client: httpx.Client, method: str, path: str, body: bytes | None) -> httpx.Response:
        left = max(0.1, self.patience.left)
        timeout = httpx.Timeout(min(_ANSWER, left), connect=min(_CONNECT, left))
        headers = {"Authorization": f"Bearer {self.token.read_text(encoding='ascii').strip()}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return client.request(method, path, content=body, headers=headers, timeout=timeout)


def _told(reply: httpx.Response) -> str:
    """The refusal in the gateway's words, if it was the gateway that answered."""
    try:
        told = json.loads(reply.content)
        said = f"{told['reason']}: {told['message']}"
    except (ValueError, TypeError, KeyError):
        said = repr(reply.content[:_SHOWN])
    return f"{reply.status_code} {said[:_SHOWN]}"


def _retry_after(reply: httpx.Response) -> float:
    """The seconds that the gateway wants to pass at least."""
    text = reply.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else 0.0
