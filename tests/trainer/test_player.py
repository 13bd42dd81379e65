"""A warm player is safe to fork, and a referee never loads torch."""

import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from asiarch_trainer.player import play
from asiarch_trainer.player.model import Host, Shape
from asiarch_trainer.player.train import Trainer, share
from asiarch_trainer.settings import Settings
from tests.trainer.bout import ENVIRONMENT


def told(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout.strip()


def test_importing_the_player_loads_torch_and_starts_no_thread() -> None:
    counting = "print('torch' in sys.modules, len(os.listdir('/proc/self/task')))"
    assert told(f"import asiarch_trainer.player, os, sys; {counting}") == "True 1"


def test_importing_the_referee_loads_no_torch() -> None:
    assert told("import asiarch_trainer.referee, sys; print('torch' in sys.modules)") == "False"


def test_a_socket_that_isnt_open_to_the_player_yet_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The referee binds it, and then opens it to other users."""
    refusals = [PermissionError(13, "Permission denied"), ConnectionRefusedError()]

    class Link(socket.socket):
        def connect(self, address: Any, /) -> None:
            if refusals:
                raise refusals.pop()
            super().connect(address)

    place = tmp_path / "wire"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen(1)
        monkeypatch.setattr("asiarch_trainer.player.play.socket.socket", Link)
        given = SimpleNamespace(order=SimpleNamespace(seconds=5.0), socket=place)
        play._connect(cast("Settings", given)).close()
    assert refusals == []


class Doubling(torch.nn.Module):
    def __init__(self, layer: int, **_size: int) -> None:
        super().__init__()
        self.draws = torch.nn.Parameter(torch.randn(layer * 100 + 7))

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        return x_BTC * 2


class Greedy(Doubling):
    def __init__(self, layer: int, **size: int) -> None:
        super().__init__(layer, **size)
        self.more = torch.nn.Parameter(torch.randn(1000))


def test_our_own_initial_weights_do_not_depend_on_the_candidate() -> None:
    shape = Shape(vocabulary=16, width=8, heads=2, layers=2)
    one, other = (
        {n: p for n, p in Host(shape, mixer, seed=5).named_parameters() if "mixer." not in n}
        for mixer in (Doubling, Greedy)
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_rate_warms_up_stays_and_decays_at_the_end() -> None:
    rates = [share(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[:10] == sorted(rates[:10])
    assert set(rates[10:85]) == {1.0}
    assert rates[85:] == sorted(rates[85:], reverse=True)
    assert rates[-1] == pytest.approx(0.1)


def test_a_step_learns_only_from_what_counts() -> None:
    torch.manual_seed(0)
    host = Host(Shape(vocabulary=16, width=8, heads=2, layers=1), Doubling, seed=1)
    trainer = Trainer(host, steps=30, learning_rate=1e-2)
    tokens_BT = torch.arange(8)[None]
    targets_BT = torch.full((1, 8), -1)
    targets_BT[0, 3] = 9
    losses = [trainer.step(tokens_BT, targets_BT) for _ in range(30)]
    assert losses[-1] < losses[0] - 1
