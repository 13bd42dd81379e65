"""How the operator was deployed, as far as its pods show it; read from the command line, which Helm's values fill."""

from dataclasses import dataclass
from typing import Literal

START_SECONDS = 300
"""What a pod may take to come up, unless somebody has more patience, or less."""


@dataclass(frozen=True, slots=True)
class Images:
    """Whose programs run."""

    agent: str
    trainer: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a custom resource has no say in."""

    images: Images
    gateway_url: str
    gateway_address: str = ""
    """Where the gateway's host is, so that agents need no name service; its name is looked up without it."""
    agent_service_account: str = "asiarch-agent"
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    runtime_class: str | None = None
    """Of training pods; a search can't have another one then."""
    start_seconds: int = START_SECONDS
    """What a pod may take to come up, images included, on top of its order's own limit."""
    patience: float = 1.0
    """How long pods may wait for a place or an image before the attempt is given up, in units of the usual."""
