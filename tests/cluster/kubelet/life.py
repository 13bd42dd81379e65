"""One pod as the playing kubelet keeps it: its order, what its containers are doing, and how that is told.

Told to the cluster by statuses, and to the ledger by entries; what is played is decided elsewhere.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from asiarch.api.order import Order, Result
from tests.cluster.kubelet.api import GONE, STRATEGIC, Api, Object, RefusedError
from tests.cluster.kubelet.children import Children
from tests.cluster.kubelet.faults import Faults, Told
from tests.cluster.kubelet.play import digest
from tests.cluster.kubelet.sandbox import Sandbox
from tests.cluster.kubelet.status import KILLED, Ended, Running, State, Waiting, pod_status
from tests.cluster.ledger import Entry, Happening, Ledger, now

Play = Literal["instant", "real"]
AgentPlay = Literal["instant", "real", "direct"]

_INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass(frozen=True)
class Settings:
    """How the kubelet was asked to play."""

    node: str
    training: Play = "instant"
    agents: AgentPlay = "real"
    lasts: float = 0.0
    """Seconds that an instant order takes."""
    agents_last: float | None = None
    """The same of an agent's order, where that is another time."""
    spread: float = 0.0
    """Share of them by which an order takes less or more, each its own, so that ends don't come in step."""
    resources: tuple[tuple[str, str], ...] = ()
    """Further resources of the node, such as accelerators."""


@dataclass(frozen=True)
class Stage:
    """What all pods of a kubelet share."""

    settings: Settings
    api: Api
    ledger: Ledger
    faults: Faults
    children: Children
    folder: Path


class Life:
    """One pod."""

    def __init__(self, stage: Stage, pod: Object, number: int) -> None:
        """`number` names its folder: a unix socket's path must be short."""
        self.stage = stage
        self.pod = pod
        self.number = number
        metadata = pod["metadata"]
        self.path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self.sandbox = Sandbox(stage.api, pod, stage.folder / str(number), stage.folder / "claims")
        self.order = _order(pod)
        self.began = time.time()
        self.states: dict[str, State] = {}
        self.set_all(Waiting("ContainerCreating"))
        self.stopping = asyncio.Event()
        self.lost = False
        """Its node is: nobody here says anything of it any more."""
        self.spoke = False
        """Whether it was said what its containers do."""
        self._ran: float | None = None

    @property
    def told(self) -> Told | None:
        """Its order, as far as faults ask."""
        order = self.order
        if order is None:
            return None
        return Told(order.name, order.search, order.kind, order.attempt, order.index)

    def set_all(self, state: State) -> None:
        """Put all containers into one state."""
        self.states = {spec["name"]: state for spec in self.pod["spec"]["containers"]}

    def run_all(self) -> None:
        """All containers run; the ledger says that the order has begun."""
        self.set_all(Running(time.time()))
        self._enter("started")
        self._ran = time.time()

    def end(self, name: str, code: int, reason: str = "", message: str = "") -> None:
        """A container ends now."""
        was = self.states[name]
        started = was.started if isinstance(was, Running) else time.time()
        self.states[name] = Ended(code, started, time.time(), reason, message or self.sandbox.message(name))

    def end_rest(self, code: int = KILLED, reason: str = "") -> None:
        """Whatever still runs, or never ran, ends now."""
        for name, state in self.states.items():
            if not isinstance(state, Ended):
                self.end(name, code, reason)

    def give_up(self) -> None:
        """The pod is ended from outside: what runs is killed, and of what never ran nothing is known."""
        for name, state in self.states.items():
            if isinstance(state, Waiting):
                self.states[name] = Ended(KILLED, 0.0, 0.0, "ContainerStatusUnknown")
        self.end_rest()

    async def tell(self, **override: str) -> None:
        """Write the pod's status; that of a pod which is gone is nobody's business."""
        self.spoke = True
        patch = pod_status(self.pod, self.began, self.states, **override)
        await self.patch(patch)

    async def patch(self, patch: Object) -> None:
        """Patch the pod's status."""
        with ignoring_gone():
            self.pod = await self.stage.api.call("PATCH", f"{self.path}/status", patch, STRATEGIC)

    async def delete(self, grace: int | None = None) -> None:
        """Delete the pod; by 0 seconds of grace its kubelet confirms that nothing of it runs."""
        body: Object = {"preconditions": {"uid": self.pod["metadata"]["uid"]}}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        with ignoring_gone():
            await self.stage.api.call("DELETE", self.path, body)

    def ended(self, how: str) -> None:
        """Tell the ledger that the order's processes have ended, if they ever began."""
        if self._ran is not None:
            self._enter("ended", seconds=time.time() - self._ran, how=how)

    def charge(self, text: str) -> None:
        """Tell the ledger that a result left the pod; what isn't one costs nothing."""
        with contextlib.suppress(ValidationError):
            result = Result.model_validate_json(text)
            self._enter("charged", seconds=result.cost.seconds, digest=digest(text))

    def _enter(self, event: Happening, seconds: float = 0.0, digest: str = "", how: str = "") -> None:
        order, metadata = self.order, self.pod["metadata"]
        if order is None:
            return
        jobs = [o["uid"] for o in metadata.get("ownerReferences", ()) if o["kind"] == "Job"]
        self.stage.ledger.write(
            Entry(
                time=now(),
                event=event,
                namespace=metadata["namespace"],
                search=order.search,
                order=order.name,
                attempt=order.attempt,
                index=order.index,
                kind=order.kind,
                job=jobs[0] if jobs else "",
                pod=metadata["uid"],
                name=metadata["name"],
                seconds=round(seconds, 3),
                digest=digest,
                how=how,
            )
        )


@contextlib.contextmanager
def ignoring_gone() -> Iterator[None]:
    """Do something about a pod that may be gone by now."""
    try:
        yield
    except RefusedError as error:
        if error.status not in GONE:
            raise


def _order(pod: Object) -> Order | None:
    """The order in the first container's environment, with its index; a plain pod has none."""
    for variable in pod["spec"]["containers"][0].get("env", ()):
        if variable["name"] == "ASIARCH_ORDER":
            # A kubelet reads `$$` as `$`; nothing else can be said of other variables here.
            order = Order.model_validate_json(variable["value"].replace("$$", "$"))
            index = int(pod["metadata"].get("annotations", {}).get(_INDEX, order.index))
            return order.model_copy(update={"index": index})
    return None
