"""What the player does: connect, then answer one request after the other until the referee hangs up.

Shapes: B batch, T time, C width.
"""

import json
import math
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn

from asiarch.api.reason import Reason
from asiarch_kernels import paths
from asiarch_trainer.player import limits
from asiarch_trainer.player.candidate import ComplaintError, complaint, load
from asiarch_trainer.player.cost import growth
from asiarch_trainer.player.model import Host, Shape, mix
from asiarch_trainer.player.train import Trainer
from asiarch_trainer.settings import Settings, read_code, settings
from asiarch_trainer.wire import Kind, Wire, WireError

_CONNECT_SECONDS = 30.0
_RETRY_SECONDS = 0.02

Request = Mapping[str, Any]


def main() -> int:
    """Play one order; the exit status says only whether the referee was served to the end."""
    given = settings(os.environ)
    torch.set_num_threads(1)
    # Not use_deterministic_algorithms: it loads a compiler first, which takes a second.
    torch.set_deterministic_debug_mode("warn")
    until = time.monotonic() + given.order.seconds
    if given.limits is not None:
        limits.apply(given.limits)
    try:
        with _kernels_heard() as kernels:
            Player(Wire(_connect(given)), given, until, kernels).serve()
    except WireError:
        return 1
    return 0


Kernels = Callable[[], tuple[int, int, int]]
"""Of our blocks' kernels, how many were found compiled and how many had to be; and how many of others', such as fla's.

-1 each without a GPU.
"""


@contextmanager
def _kernels_heard() -> Iterator[Kernels]:
    """Count from now on; where there is no GPU nothing is launched, and Triton needn't be loaded."""
    if not torch.cuda.is_available():
        yield lambda: (-1, -1, -1)
        return
    from asiarch_kernels.compiles import listening  # noqa: PLC0415 - it loads Triton

    with listening() as compiles:
        yield lambda: (compiles.hits, compiles.misses, compiles.others)


class Player:
    """Holds the candidate's model between requests."""

    def __init__(self, wire: Wire, given: Settings, until: float, kernels: Kernels) -> None:
        """Wait for the referee on `wire`; run nothing of the candidate's before it says so."""
        self._kernels_loaded = kernels
        self._wire = wire
        self._given = given
        self._until = until
        self._mixer: type[nn.Module] | None = None
        self._host: Host | None = None
        self._trainer: Trainer | None = None
        self._answers: Mapping[str, Callable[[Request], None]] = {
            "load": self._load,
            "build": self._build,
            "mix": self._mix,
            "logits": self._logits,
            "step": self._learn,
            "weights": self._weights,
            "shake": self._shake,
            "cost": self._cost,
            "kernels": self._kernels,
            "aside": self._aside,
        }

    def serve(self) -> None:
        """Answer until told to stop; a failure inside the candidate is an answer too."""
        while (request := json.loads(self._wire.receive(self._until).text))["do"] != "stop":
            try:
                self._answers[request["do"]](request)
            except WireError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever the candidate raises is reported
                said = complaint(error)
                self._wire.send_text(Kind.ERROR, f"{said.reason}\n{said}", self._until)

    def _aside(self, _request: Request) -> None:
        """Let a copy of this process answer until it is stopped, so that this one sees nothing of what it was asked."""
        copy = os.fork()
        if copy == 0:
            self._done()
            try:
                self.serve()
            finally:
                os._exit(0)
        os.waitpid(copy, 0)
        self._done()

    def _load(self, request: Request) -> None:
        text = read_code(self._given.code)
        if sha256(text.encode()).hexdigest() != request["digest"]:
            raise ComplaintError(Reason.INVALID_SOURCE, "The player was given another file than the referee.")
        self._mixer = load(text)
        self._done()

    def _build(self, request: Request) -> None:
        assert self._mixer is not None
        shape = Shape(request["vocabulary"], request["width"], request["heads"], request["layers"])
        self._host = Host(shape, self._mixer, request["seed"])
        self._trainer = Trainer(self._host, request["steps"], request["learning_rate"])
        self._done()

    def _mix(self, request: Request) -> None:
        x_BTC = self._tensor()
        mixer = self._model(request).mixers[request["layer"]]
        with torch.no_grad():
            self._send(mix(mixer, x_BTC))

    def _logits(self, request: Request) -> None:
        tokens_BT = self._tensor().long()
        with torch.no_grad():
            self._send(self._model(request)(tokens_BT))

    def _learn(self, _request: Request) -> None:
        batch_2BT = self._tensor().long()
        assert self._trainer is not None
        self._send(torch.tensor([self._trainer.step(batch_2BT[0], batch_2BT[1])], dtype=torch.float64))

    def _weights(self, request: Request) -> None:
        assert self._host is not None
        layer = request["layer"]
        self._send(_flatten(self._host if layer is None else self._host.mixers[layer]))

    def _shake(self, request: Request) -> None:
        """Draw all weights anew: a path that a zero or a shut gate closes at first is open then."""
        assert self._host is not None
        generator = torch.Generator().manual_seed(request["seed"])
        with torch.no_grad():
            for parameter in self._host.parameters():
                fan_in = parameter.shape[-1] if parameter.ndim > 1 else 4
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(fan_in))
        self._done()

    def _cost(self, request: Request) -> None:
        assert self._host is not None
        found = growth(self._host.eval().mixers[0], request["width"], request["short"], request["long"])
        numbers = [
            found.exponent,
            found.worst_exponent,
            found.worst_share,
            float(len(found.uncovered)),
            found.work_per_token,
        ]
        self._send(torch.tensor(numbers, dtype=torch.float64))
        self._wire.send_text(
            Kind.TEXT, json.dumps([found.worst_place, sorted(found.uncovered)[:8]]), self._until
        )

    def _kernels(self, _request: Request) -> None:
        """How often blocks took which way in this process, and what that found compiled."""
        ways: Counter[str] = Counter()
        for name, count in paths.counts().items():
            ways[name.rpartition("/")[2]] += count
        numbers = [ways["kernel"], ways["fla"], ways["reference"], *self._kernels_loaded()]
        self._send(torch.tensor(numbers, dtype=torch.float64))

    def _model(self, request: Request) -> Host:
        """Put the model into the wanted mode; in train mode chance starts anew, so that dropout repeats."""
        assert self._host is not None
        if request["train"]:
            torch.manual_seed(0)
        return self._host.train(request["train"])

    def _tensor(self) -> Tensor:
        frame = self._wire.receive(self._until)
        assert frame.tensor is not None
        return torch.from_numpy(frame.tensor.copy())

    def _send(self, tensor: Tensor) -> None:
        self._wire.send_tensor(tensor.detach().contiguous().numpy(), self._until)

    def _done(self) -> None:
        self._wire.send_text(Kind.DONE, "", self._until)


def _flatten(module: nn.Module) -> Tensor:
    parts = [torch.view_as_real(p.detach()) if p.is_complex() else p.detach() for p in module.parameters()]
    return torch.cat([part.float().flatten() for part in parts]) if parts else torch.zeros(0)


def _connect(given: Settings) -> socket.socket:
    """Connect to the referee, which may start later than we do."""
    until = time.monotonic() + min(_CONNECT_SECONDS, given.order.seconds)
    while True:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.connect(str(given.socket))
        except (FileNotFoundError, ConnectionRefusedError, PermissionError):
            # Not bound, not yet open to our user, or not yet listening.
            link.close()
            if time.monotonic() > until:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return link
