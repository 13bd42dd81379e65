"""Softmax attention behind a short convolution."""

import torch
from torch import nn
from torch.nn import functional as F


class Mixer(nn.Module):
    def __init__(self, width, heads, layer, layers):
        super().__init__()
        self.heads = heads
        self.conv = nn.Conv1d(3 * width, 3 * width, 4, groups=3 * width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x_BTC):
        B, T, C = x_BTC.shape
        qkv = self.qkv(x_BTC).transpose(1, 2)
        q, k, v = (
            z.view(B, T, self.heads, -1).transpose(1, 2)
            for z in F.silu(self.conv(F.pad(qkv, (3, 0)))).transpose(1, 2).chunk(3, dim=-1)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(B, T, C))
