"""What each pod's questions to a model cost: counted where the model is asked, and never told by the pod.

The counts live as long as the process: a provider that takes money has to keep its own.
"""

from collections import OrderedDict

from asiarch.api.search import Cost

_KEPT = 10_000
"""Pods that are remembered, those that asked last."""


class Meter:
    """Tokens by pod."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[str, int] = OrderedDict()

    def count(self, pod: str, tokens: int) -> None:
        """Add what a reply to a pod took."""
        self._tokens[pod] = self._tokens.pop(pod, 0) + tokens
        if len(self._tokens) > _KEPT:
            self._tokens.popitem(last=False)

    def cost(self, pod: str) -> Cost:
        """What a pod has cost so far."""
        return Cost(tokens=self._tokens.get(pod, 0))
