"""Chunked linear recurrences: RULE says which of linear, gated, delta, gated-delta, fixed, none."""

import torch
from torch import nn
from torch.nn import functional as F

RULE = "delta"
CHUNK = 64


class Mixer(nn.Module):
    def __init__(self, width, heads, layer, layers):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.conv = nn.Conv1d(3 * width, 3 * width, 4, groups=3 * width)
        self.gates = nn.Linear(width, 2 * heads)
        self.out = nn.Linear(width, width, bias=False)
        self.norm = nn.RMSNorm(width // heads)

    def forward(self, x_BTC):
        B, T, C = x_BTC.shape
        qkv = F.silu(self.conv(F.pad(self.qkv(x_BTC).transpose(1, 2), (3, 0))))
        q, k, v = (z.view(B, self.heads, -1, T).transpose(2, 3) for z in qkv.chunk(3, dim=1))
        if RULE == "none":
            return self.out(v.transpose(1, 2).reshape(B, T, C))
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        beta, decay = self.gates(x_BTC).transpose(1, 2).chunk(2, dim=1)
        beta = torch.sigmoid(beta) if "delta" in RULE else torch.ones_like(beta)
        log_a = F.logsigmoid(decay + 4.0) if RULE.startswith("gated") else torch.zeros_like(decay)
        log_a = torch.full_like(decay, -0.6931) if RULE == "fixed" else log_a
        y = chunked(q, k, v, beta, log_a, erase="delta" in RULE)
        return self.out(self.norm(y).transpose(1, 2).reshape(B, T, C))


def chunked(q, k, v, beta, log_a, erase):
    B, H, T, K = q.shape
    size = min(CHUNK, T)
    pad = -T % size
    q, k, v = (F.pad(z, (0, 0, 0, pad)) for z in (q, k, v))
    beta, log_a = F.pad(beta, (0, pad)), F.pad(log_a, (0, pad))
    n = (T + pad) // size
    q, k, v = (z.view(B, H, n, size, -1) for z in (q, k, v))
    beta, g = beta.view(B, H, n, size, 1), log_a.view(B, H, n, size).cumsum(-1)
    lower = torch.ones(size, size, dtype=torch.bool).tril()
    ratio = (g[..., :, None] - g[..., None, :]).masked_fill(~lower, float("-inf")).exp()
    a = g.exp()[..., None]
    u, w = beta * v, None
    if erase:
        m = torch.eye(size) + (beta * (k @ k.transpose(-1, -2)) * ratio).tril(-1)
        both = torch.linalg.solve_triangular(
            m, torch.cat([u, beta * k * a], -1), upper=False, unitriangular=True
        )
        u, w = both.split([v.shape[-1], K], -1)
    inner = (q @ k.transpose(-1, -2)) * ratio
    left = (g[..., -1:] - g).exp()[..., None]
    if n == 1:
        return (inner @ u)[:, :, 0, :T]
    state, ys = q.new_zeros(B, H, K, v.shape[-1]), []
    for i in range(n):
        ui = u[:, :, i] - w[:, :, i] @ state if erase else u[:, :, i]
        ys.append((q[:, :, i] * a[:, :, i]) @ state + inner[:, :, i] @ ui)
        state = state * a[:, :, i, -1:] + (k[:, :, i] * left[:, :, i]).transpose(-1, -2) @ ui
    return torch.cat(ys, 2)[:, :, :T]
