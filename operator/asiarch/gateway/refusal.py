"""How the gateway says no: one word for machines, one sentence for people, never what it was sent."""


class RefusedError(Exception):
    """A request that is not served; becomes `{"reason", "message"}` with an HTTP status."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
