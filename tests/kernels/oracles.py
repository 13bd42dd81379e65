"""What blocks compute, token by token in double precision, written without a look at how the blocks do it."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

# Shapes: B batch, T time, H heads, K key width of a head, V value width of a head.


def recurrence_by_token(
    q_BTHK: Tensor,
    k_BTHK: Tensor,
    v_BTHV: Tensor,
    *,
    log_decay: Tensor | None = None,
    beta: Tensor | None = None,
    erase: Tensor | None = None,
    delta: bool = False,
    state: Tensor | None = None,
    starts: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Outputs and last states of the recurrence, in float64; differentiable."""
    if starts is not None:
        gates: dict[str, Any] = {"log_decay": log_decay, "beta": beta, "erase": erase}
        return _each_sequence(q_BTHK, k_BTHK, v_BTHV, delta=delta, state=state, starts=starts, **gates)
    batch, length, heads, width = q_BTHK.shape
    q, k, v = q_BTHK.double(), k_BTHK.double(), v_BTHV.double()
    S_BHKV = (
        torch.zeros(batch, heads, width, v.shape[-1], dtype=torch.float64)
        if state is None
        else state.double()
    )
    outputs = []
    for t in range(length):
        if log_decay is not None:
            a = log_decay[:, t].double().exp()
            S_BHKV = S_BHKV * (a[..., None, None] if a.ndim == 2 else a[..., None])
        b = torch.ones(batch, heads, dtype=torch.float64) if beta is None else beta[:, t].double()
        change = torch.einsum("bhk,bhv->bhkv", k[:, t], v[:, t])
        if delta:
            e = k[:, t] if erase is None else erase[:, t].double()
            change = change - torch.einsum("bhk,bhj,bhjv->bhkv", e, e, S_BHKV)
        S_BHKV = S_BHKV + b[..., None, None] * change
        outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], S_BHKV))
    return torch.stack(outputs, dim=1), S_BHKV


def _each_sequence(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    state: Tensor | None,
    starts: Tensor,
    delta: bool,
    **gates: Tensor | None,
) -> tuple[Tensor, Tensor]:
    bounds = starts.tolist()
    heads, width, values = q.shape[2], q.shape[3], v.shape[3]
    outputs, states = [], []
    for n, (start, end) in enumerate(pairwise(bounds)):
        first = (
            torch.zeros(1, heads, width, values, dtype=torch.float64)
            if state is None
            else state[n : n + 1].double()
        )
        if start == end:
            states.append(first)
            continue
        own: dict[str, Any] = {
            name: gate if gate is None else gate[:, start:end] for name, gate in gates.items()
        }
        part = (x[:, start:end] for x in (q, k, v))
        out, last = recurrence_by_token(*part, **own, delta=delta, state=first)
        outputs.append(out)
        states.append(last)
    return torch.cat(outputs, dim=1), torch.cat(states)
