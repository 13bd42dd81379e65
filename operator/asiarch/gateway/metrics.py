"""What the gateway counts, and the page that shows it; labels come from closed sets only."""

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """One gateway's counters."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "asiarch_gateway_requests", "Requests answered.", ["route", "code"], registry=registry
        )
        self._seconds = Histogram(
            "asiarch_gateway_request_seconds",
            "Seconds until the answer was known.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._rejected = Counter(
            "asiarch_gateway_rejected", "Requests refused.", ["reason"], registry=registry
        )
        self._api = Counter(
            "asiarch_gateway_api_requests",
            "Calls of the API server; code 0 is no answer.",
            ["verb", "resource", "code"],
            registry=registry,
        )

    def answered(self, route: str, code: int, seconds: float, reason: str) -> None:
        """Count one request; `reason` is empty unless it was refused."""
        self._requests.labels(route, code).inc()
        self._seconds.labels(route).observe(seconds)
        if reason:
            self._rejected.labels(reason).inc()

    def api_request(self, verb: str, resource: str, code: int, seconds: float) -> None:  # noqa: ARG002 (kube's port)
        """Count one call of the API server."""
        self._api.labels(verb, resource, code).inc()


def page(metrics: Metrics) -> web.Application:
    """The application of the metrics port."""

    async def show(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app = web.Application()
    app.router.add_get("/metrics", show)
    return app
