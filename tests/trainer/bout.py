"""Real orders between real processes: a referee and a player, each forked from a warm process of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from asiarch.api.order import Order, Result
from asiarch.api.search import Dataset, ModelShape, Rung

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'trainer-image'}:{ROOT / 'kernels'}",
    "OMP_NUM_THREADS": "1",
}

LIMITS = json.dumps({"processes": 4096, "file": 1 << 30, "memory": 4 << 30})
"""What a pod bounds its player by; without them a candidate may take all of a machine whose kernel refuses nothing."""

Opponent = Callable[[Path], None]
"""Something else than the player that connects to the referee's socket."""


class Warm:
    """One warm process."""

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm.py")), module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        assert self._line() == "ready"

    def start(self, environment: dict[str, str]) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(environment) + "\n")
        self._process.stdin.flush()
        return int(self._line())

    def join(self) -> int:
        return int(self._line())

    def close(self) -> None:
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@dataclass
class Ring:
    """Where bouts are held: both warm processes, and a folder for each bout."""

    referees: Warm
    players: Warm
    folder: Path
    held: int = 0

    def hold(
        self, source: str, rung: Rung | None = None, opponent: Opponent | None = None, **order: Any
    ) -> Result:
        """Let a candidate's source, or an impostor, be refereed, and read the result."""
        self.held += 1
        folder = self.folder / str(self.held)
        folder.mkdir()
        environment = written(folder, source, an_order(source, rung, **order))
        self.referees.start(environment)
        if opponent is None:
            player = self.players.start({**environment, "ASIARCH_LIMITS": LIMITS})
            self.referees.join()
            self._end(player)
        else:
            thread = threading.Thread(target=opponent, args=(folder / "socket",))
            thread.start()
            self.referees.join()
            thread.join()
        return Result.model_validate_json((folder / "result.json").read_bytes())

    def _end(self, player: int) -> None:
        """Do what the local world does: a player that won't leave is killed."""
        timer = threading.Timer(0.5, os.kill, (player, signal.SIGKILL))
        timer.start()
        self.players.join()
        timer.cancel()


def written(folder: Path, source: str, order: Order) -> dict[str, str]:
    """Write what an order needs and say where it lies."""
    (folder / "code.py").write_text(source)
    return {
        "ASIARCH_ORDER": order.model_dump_json(by_alias=True),
        "ASIARCH_CODE": str(folder / "code.py"),
        "ASIARCH_SOCKET": str(folder / "socket"),
        "ASIARCH_RESULT": str(folder / "result.json"),
    }


def an_order(source: str, rung: Rung | None = None, **more: Any) -> Order:
    given = {"seed": 7, "seconds": 60, "code": sha256(source.encode()).hexdigest()} | more
    return Order(
        name="s-0001-train-x-a1", kind="train", search="s", candidate="s-0001", rung=rung or GATES, **given
    )


GATES = Rung(name="gates", task="Gates")
RECALL = Rung(name="recall", task="SyntheticRecall", steps=10, batch=8, length=24, model=ModelShape(width=16))


def a_text_rung(path: Path | str) -> Rung:
    return Rung(
        name="text",
        task="ByteLanguageModel",
        dataset=Dataset(path=str(path)),
        steps=12,
        batch=8,
        length=32,
        model=ModelShape(width=16),
    )
