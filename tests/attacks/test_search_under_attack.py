"""One search that hostile files of users join: each ends in its named reason, and the search is unharmed."""

from pathlib import Path
from typing import Any

import pytest

from tests.local.searches import MANIFEST, candidates, start

MIXER = '''\
"""A mixer of the attacker's."""

import torch
{imports}
from torch import nn


class Mixer(nn.Module):
    """Pretends to mix."""

    def __init__(self, width: int, heads: int, layer: int, layers: int) -> None:
        """Hold a weight."""
        super().__init__()
        self.out = nn.Linear(width, width)

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        """Attack."""
        {attack}
        return {returns}
'''


def a_mixer(attack: str = "pass", returns: str = "self.out(x_BTC)", imports: str = "") -> str:
    """A mixer that does this in its forward pass."""
    return MIXER.format(attack=attack, returns=returns, imports=imports)


HOSTILE: dict[str, tuple[str, str | None]] = {
    "never-ends": (a_mixer("while True: pass"), "DeadlineExceeded"),
    "takes-10-gb": (a_mixer("self.hoard = torch.ones(10 * 2**28)"), "OutOfMemory"),
    "wants-a-socket": (a_mixer(imports="import socket"), "ImportRefused"),
    "exits-quietly": (a_mixer("os._exit(0)", imports="import os"), "ImportRefused"),
    "bombs-forks": (a_mixer("[os.fork() for _ in iter(int, 1)]", imports="import os"), "ImportRefused"),
    "opens-files": (a_mixer("open('/etc/passwd').read()"), "ImportRefused"),
    "unpickles": (a_mixer("torch.load('/tmp/x')"), "ImportRefused"),
    "looks-ahead": (a_mixer(returns="self.out(x_BTC.flip(1).cumsum(1).flip(1))"), "CausalityViolation"),
    "centred": (a_mixer(returns="self.out(x_BTC + x_BTC.roll(-1, 1))"), "CausalityViolation"),
    "leaks-batch": (a_mixer(returns="self.out(x_BTC - x_BTC.mean(0))"), "BatchLeak"),
    "not-a-number": (a_mixer(returns="self.out(x_BTC) * float('nan')"), "NonFinite"),
    "wrong-shape": (a_mixer(returns="self.out(x_BTC)[:, :1]"), "WrongShape"),
    "floods": (a_mixer("print('x' * 50_000_000) if self.training else None"), None),
}
"""File and reason; none for one that is harmless once its output is cut."""


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a search has run that all attackers joined."""
    folder = tmp_path_factory.mktemp("attacked")
    arguments = []
    for name, (text, _) in HOSTILE.items():
        (folder / f"{name}.py").write_text(text)
        spec = f"{{searchName: small, origin: User, source: {{file: {name}.py}}}}"
        manifest = (
            f"apiVersion: asiarch.dev/v1alpha1\nkind: Candidate\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        )
        (folder / f"{name}.yaml").write_text(manifest)
        arguments += ["--candidate", f"{name}.yaml"]
    manifest = MANIFEST.replace("candidates: 3", f"candidates: {len(HOSTILE) + 1}")
    manifest = manifest.replace("{name: gates, task: Gates}", "{name: gates, task: Gates, deadline: 15s}")
    code, said = start(folder, *arguments, manifest=manifest).end()
    assert code == 0, said
    return folder


def statuses(folder: Path) -> dict[str, dict[str, Any]]:
    """The candidates' statuses, by name."""
    return {c["metadata"]["name"]: c["status"] for c in candidates(folder)}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_attacker_ends_in_its_named_reason(attacked: Path, name: str) -> None:
    status = statuses(attacked)[name]
    assert status.get("reason") == HOSTILE[name][1], status.get("message")


def test_the_search_is_unharmed(attacked: Path) -> None:
    found = statuses(attacked)
    assert found["small-0000"]["phase"] == "Complete"
    proposed = [s for name, s in found.items() if name.startswith("small-") and s["ordinal"] > 1]
    assert proposed
    assert all(s["phase"] in {"Complete", "Rejected"} for s in proposed)


def test_no_log_grows_beyond_its_bound(attacked: Path) -> None:
    logs = list((attacked / "runs" / "small" / "orders").rglob("*.log"))
    assert logs
    assert max(log.stat().st_size for log in logs) <= 1024 * 1024 + 4096
