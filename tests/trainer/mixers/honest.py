"""Odd but honest mixers; each must pass every gate."""

HEAD = '''"""An honest mixer."""

import math

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F


'''

_INIT = """
    def __init__(self, width, heads, layer, layers):
        super().__init__()
        self.width, self.heads = width, heads
"""


def _file(init: str, forward: str, extra: str = "") -> str:
    lines = "".join(f"        {line}\n" for line in init.strip().splitlines())
    body = "".join(f"        {line}\n" for line in forward.strip("\n").splitlines())
    return f"{HEAD}{extra}class Mixer(nn.Module):{_INIT}{lines}\n    def forward(self, x):\n{body}"


CAUSAL_CONV = _file(
    "self.conv = nn.Conv1d(width, width, 5, groups=width)",
    "return self.conv(F.pad(x.transpose(1, 2), (4, 0))).transpose(1, 2)",
)
EMA_LOOP = _file(
    "self.logit = nn.Parameter(torch.zeros(width))",
    """
decay, state, ys = torch.sigmoid(self.logit), torch.zeros_like(x[:, 0]), []
for t in range(x.shape[1]):
    state = decay * state + (1 - decay) * x[:, t]
    ys.append(state)
return torch.stack(ys, 1)
""",
)
EMA_SCAN = _file(
    "self.logit = nn.Parameter(torch.full((width,), 2.0))",
    """
log_decay, size = F.logsigmoid(self.logit), 16
pad = -x.shape[1] % size
blocks = rearrange(F.pad(x, (0, 0, 0, pad)), 'b (n s) c -> b n s c', s=size)
steps = torch.arange(1, size + 1)
gap = (steps[:, None] - steps[None, :]).clamp(min=0)
weight = (gap[..., None] * log_decay).exp() * (steps[:, None] >= steps[None, :])[..., None]
inner = torch.einsum('tsc,bnsc->bntc', weight, blocks)
state, ys = torch.zeros_like(inner[:, 0, 0]), []
for n in range(blocks.shape[1]):
    ys.append(inner[:, n] + (steps[:, None] * log_decay).exp() * state[:, None])
    state = ys[-1][:, -1]
return torch.cat(ys, 1)[:, : x.shape[1]]
""",
)
CUMULATIVE_LINEAR = _file(
    "self.qkv = nn.Linear(width, 3 * width, bias=False)",
    """
q, k, v = self.qkv(x).chunk(3, -1)
q, k = F.elu(q) + 1, F.elu(k) + 1
top, bottom = torch.cumsum(k * v, 1), torch.cumsum(k, 1)
return q * top / (q * bottom).sum(-1, keepdim=True).clamp(min=1e-3)
""",
)
MASK_BY_PRODUCT = _file(
    "self.qkv = nn.Linear(width, 3 * width, bias=False)",
    """
size = 32
pad = -x.shape[1] % size
q, k, v = rearrange(self.qkv(F.pad(x, (0, 0, 0, pad))), 'b (n s) (j c) -> j b n s c', s=size, j=3)
mask = torch.ones(size, size).tril()
inner = ((q @ k.transpose(-1, -2)) * mask) @ v
states = (k.transpose(-1, -2) @ v).cumsum(1)
before = F.pad(states, (0, 0, 0, 0, 1, 0))[:, :-1]
return rearrange(inner + q @ before, 'b n s c -> b (n s) c')[:, : x.shape[1]] / math.sqrt(self.width)
""",
)
MASK_AFTER_DECAY = _file(
    "self.gate = nn.Linear(width, width)\nself.value = nn.Linear(width, width)",
    """
size = 16
pad = -x.shape[1] % size
blocks = rearrange(F.pad(x, (0, 0, 0, pad)), 'b (n s) c -> b n s c', s=size)
g = F.logsigmoid(self.gate(blocks)).cumsum(2)
weight = (g[:, :, :, None] - g[:, :, None]).exp() * torch.ones(size, size).tril()[..., None]
return rearrange(torch.einsum('bntsc,bnsc->bntc', weight, self.value(blocks)), 'b n s c -> b (n s) c')[:, : x.shape[1]]
""",
)
LOCAL_ATTENTION = _file(
    "self.qkv = nn.Linear(width, 3 * width, bias=False)",
    """
size = 16
pad = -x.shape[1] % size
q, k, v = rearrange(self.qkv(F.pad(x, (0, 0, 0, pad))), 'b (n s) (j c) -> j b n s c', s=size, j=3)
k, v = (torch.cat([F.pad(z, (0, 0, 0, 0, 1, 0))[:, :-1], z], 2) for z in (k, v))
ahead = torch.ones(size, 2 * size, dtype=torch.bool).triu(size + 1)
weight = (q @ k.transpose(-1, -2)).masked_fill(ahead, float('-inf')).softmax(-1)
return rearrange(weight @ v, 'b n s c -> b (n s) c')[:, : x.shape[1]]
""",
)
TOKEN_SHIFT = _file(
    "self.mix = nn.Parameter(torch.full((width,), 0.5))\nself.out = nn.Linear(width, width)",
    "return self.out(x * self.mix + F.pad(x, (0, 0, 1, 0))[:, :-1] * (1 - self.mix))",
)
TIED = _file(
    "self.one = nn.Linear(width, width, bias=False)\nself.two = nn.Linear(width, width, bias=False)\nself.two.weight = self.one.weight",
    "return self.two(torch.tanh(self.one(x)))",
)
LONG_CONV = _file(
    "self.rate = nn.Parameter(torch.linspace(-4, 0, width))",
    """
T = x.shape[1]
kernel = torch.exp(-torch.arange(T)[:, None] * self.rate.exp())
y = torch.fft.irfft(torch.fft.rfft(x, 2 * T, 1) * torch.fft.rfft(kernel, 2 * T, 0), 2 * T, 1)
return y[:, :T]
""",
)
RUNNING_MAX = _file("self.out = nn.Linear(width, width)", "return self.out(torch.cummax(x, 1).values)")
LSTM = _file(
    "self.rnn = nn.GRU(width, width // 2, batch_first=True)\nself.out = nn.Linear(width // 2, width)",
    "return self.out(self.rnn(x)[0])",
)
DROPOUT = _file(
    "self.drop = nn.Dropout(0.3)\nself.conv = nn.Conv1d(width, width, 3, groups=width)",
    "return self.drop(self.conv(F.pad(x.transpose(1, 2), (2, 0))).transpose(1, 2))",
)
ZERO_START = _file(
    "self.gain = nn.Parameter(torch.zeros(width))\nself.conv = nn.Conv1d(width, width, 4, groups=width)",
    "return self.gain * self.conv(F.pad(x.transpose(1, 2), (3, 0))).transpose(1, 2)",
)
GROUP_NORMED = _file(
    "self.norm = nn.GroupNorm(2, width)\nself.out = nn.Linear(width, width)",
    "return self.out(torch.cumsum(self.norm(x.flatten(0, 1)).view_as(x), 1) / torch.arange(1, x.shape[1] + 1)[:, None])",
)
BLOCKS = _file(
    """
self.qkv = nn.Linear(width, 3 * width, bias=False)
self.gates = nn.Linear(width, 2 * heads)
self.taps = nn.Parameter(torch.full((3 * width, 4), 0.25))
""",
    """
q, k, v = rearrange(causal_conv(self.qkv(x), self.taps, silu=True), 'b t (j h k) -> j b t h k', j=3, h=self.heads)
decay, beta = self.gates(x).chunk(2, -1)
q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
y = chunk_recurrence(q, k, v, log_decay=F.logsigmoid(decay + 4), beta=beta.sigmoid(), delta=True)
return y.flatten(2)
""",
    "from asiarch_kernels import causal_conv, chunk_recurrence\n\n\n",
)
NOTHING = _file("pass", "return torch.zeros_like(x)")

HONEST = {
    name.lower(): text
    for name, text in globals().items()
    if name.isupper() and name != "HEAD" and isinstance(text, str)
}
HONEST.pop("_init", None)
