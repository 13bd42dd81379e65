"""Our training loop, one step at a time; the referee streams the batches and keeps the count.

Shapes: B batch, T time, V vocabulary.
"""

import torch
import torch._dynamo  # AdamW loads it at first use; here a warm process loads it for all that it forks
from torch import Tensor, nn
from torch.nn import functional

_cross_entropy = functional.cross_entropy
_clip = nn.utils.clip_grad_norm_

IGNORED = -1
"""The target at positions that don't count."""

_WARM_UP = 0.1
_DECAY = 0.15
_FLOOR = 0.1
_WEIGHT_DECAY = 0.01
_CLIP = 1.0


class Trainer:
    """AdamW with warm-up, a stable stretch, a short decay, and clipped gradients."""

    def __init__(self, model: nn.Module, steps: int, learning_rate: float) -> None:
        """Take the model's parameters as they are now."""
        self._model = model
        self._steps = steps
        self._step = 0
        parameters = [p for p in model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": _WEIGHT_DECAY},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        self._parameters = parameters
        self._optimizer = torch.optim.AdamW(
            groups, lr=learning_rate, betas=(0.9, 0.999), fused=_fusible(parameters)
        )
        self._peak = learning_rate

    def step(self, tokens_BT: Tensor, targets_BT: Tensor) -> float:
        """Learn from one batch; return its loss in nats per counted position."""
        self._model.train()
        rate = self._peak * share(self._step, self._steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        logits_BTV: Tensor = self._model(tokens_BT)
        loss = _cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten(), ignore_index=IGNORED)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        _clip(self._parameters, _CLIP)
        self._optimizer.step()
        self._step += 1
        return float(loss.detach())


def share(step: int, steps: int) -> float:
    """Say which share of the peak learning rate a step gets: warm-up, stable, decay (arXiv 2404.06395, section 4)."""
    warm_up = max(1, round(_WARM_UP * steps))
    left = (steps - step) / max(1.0, _DECAY * steps)
    return min((step + 1) / warm_up, 1.0, max(_FLOOR, left))


def _fusible(parameters: list[nn.Parameter]) -> bool:
    return all(p.dtype in {torch.float32, torch.float64} for p in parameters)
