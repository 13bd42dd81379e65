"""What flash-linear-attention computes for us: decays of channels, which no kernel of ours has, on a GPU."""

import importlib
import importlib.util
from typing import Any

import torch
from torch import Tensor

from asiarch_kernels.chunk_recurrence.inputs import Inputs

_WIDEST = 256


def unsupported(given: Inputs) -> str:
    """Why it isn't taken for a call; empty where it is."""
    if given.log_decay is None or given.log_decay.ndim == 3:
        return "flash-linear-attention is taken for decays of channels alone"
    if importlib.util.find_spec("fla") is None:
        return "flash-linear-attention isn't installed"
    if given.erase is not None or given.q.dtype not in (torch.bfloat16, torch.float16):
        return "flash-linear-attention takes no erase key, and half types alone"
    if given.q.shape[-1] > _WIDEST:
        return f"flash-linear-attention's keys are at most {_WIDEST} wide"
    return ""


def chunk_recurrence(given: Inputs) -> tuple[Tensor, Tensor]:
    """Outputs and last states, differentiable; Kimi Delta Attention with the delta rule and GLA without."""
    assert given.log_decay is not None
    shared: dict[str, Any] = {
        "scale": 1.0,
        "initial_state": given.state,
        "output_final_state": True,
        "cu_seqlens": None if given.starts is None else given.starts.long(),
    }
    if given.delta:
        beta = given.q.new_ones(given.q.shape[:3]) if given.beta is None else given.beta
        chunk_kda = importlib.import_module("fla.ops.kda").chunk_kda
        out, last = chunk_kda(given.q, given.k, given.v, given.log_decay, beta, **shared)
    else:
        v = given.v if given.beta is None else (given.v * given.beta[..., None]).to(given.v.dtype)
        chunk_gla = importlib.import_module("fla.ops.gla").chunk_gla
        out, last = chunk_gla(given.q, given.k, v, given.log_decay, **shared)
    return out, last
