"""Mixers that must be refused, each with the reason that they must be refused for."""

from tests.trainer.mixers.honest import _file

NO_MASK = _file(
    "self.qkv = nn.Linear(width, 3 * width, bias=False)",
    """
q, k, v = self.qkv(x).chunk(3, -1)
return F.softmax(q @ k.transpose(1, 2), -1) @ v
""",
)
CENTRED_CONV = _file(
    "self.conv = nn.Conv1d(width, width, 3, padding=1, groups=width)",
    "return self.conv(x.transpose(1, 2)).transpose(1, 2)",
)
REVERSE_CUMSUM = _file("self.out = nn.Linear(width, width)", "return self.out(x.flip(1).cumsum(1).flip(1))")
TIME_NORM = _file(
    "self.out = nn.Linear(width, width)",
    "return self.out((x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True, correction=0) + 1e-3))",
)
LENGTH_AWARE = _file("self.out = nn.Linear(width, width)", "return self.out(x) / math.sqrt(x.shape[1])")
CHUNK_MEAN = _file(
    "self.out = nn.Linear(width, width)",
    """
pad = -x.shape[1] % 16
blocks = rearrange(F.pad(x, (0, 0, 0, pad)), 'b (n s) c -> b n s c', s=16)
mean = blocks.mean(2, keepdim=True).expand_as(blocks)
return self.out(rearrange(mean, 'b n s c -> b (n s) c')[:, : x.shape[1]])
""",
)
SHUT_GATE = _file(
    "self.gate = nn.Parameter(torch.zeros(()))\nself.out = nn.Linear(width, width)",
    "return self.out(x) + self.gate * x.flip(1).cumsum(1).flip(1)",
)
TRAIN_ONLY = _file(
    "self.out = nn.Linear(width, width)",
    "return self.out(x.flip(1).cumsum(1).flip(1) if self.training else x)",
)
BATCH_MEAN = _file("self.out = nn.Linear(width, width)", "return self.out(x - x.mean(0, keepdim=True))")
BATCH_NORM = _file(
    "self.norm = nn.BatchNorm1d(width)",
    "return self.norm(x.transpose(1, 2)).transpose(1, 2)",
)
NAN = _file("self.out = nn.Linear(width, width)", "return self.out(x) / (x * 0)")
OVERFLOW_WHEN_LONG = _file(
    "self.out = nn.Linear(width, width)", "return self.out(x) * math.exp(min(x.shape[1], 700)) ** 0.5"
)
SHORTER = _file("self.out = nn.Linear(width, width)", "return self.out(x)[:, :-1]")
HALF = _file("self.out = nn.Linear(width, width)", "return self.out(x).half()")
TUPLE = _file("self.out = nn.Linear(width, width)", "return self.out(x), None")
EVEN_ONLY = _file(
    "self.out = nn.Linear(width, width)",
    "return self.out(rearrange(x, 'b (n s) c -> b n (s c)', s=2)[..., :self.width])",
)
HUGE = _file("self.out = nn.Linear(width, 40 * width)", "return self.out(x)[..., : self.width]")
RANDOM = _file("self.out = nn.Linear(width, width)", "return self.out(x) + torch.randn_like(x)")
COUNTER = _file("self.calls = 0", "self.calls += 1\nreturn x * self.calls")
SQUARE = _file(
    "self.out = nn.Linear(width, width)",
    """
T = x.shape[1]
near = torch.exp(-(torch.arange(T)[:, None] - torch.arange(T)).abs() / 8.0).tril()
return self.out(near @ x)
""",
)
SQUARE_BY_LOOP = _file(
    "self.out = nn.Linear(width, width)",
    "return self.out(torch.stack([x[:, : t + 1].mean(1) for t in range(x.shape[1])], 1))",
)
# Counts in plain Python: no operator of torch's shows its square.
SQUARE_IN_PYTHON = _file(
    "self.out = nn.Linear(width, width)",
    """
sums, numbers = [], x[0, :, 0].tolist()
for t in range(len(numbers)):
    total = 0.0
    for s in range(24 * (t + 1)):
        total += numbers[s // 24]
    sums.append(0 * total)
return self.out(x) + torch.tensor(sums)[:, None]
""",
)
MEMORY = _file("pass", "return torch.zeros(4 * 10**12)[: x.shape[1]] + x")
ENDLESS = _file("self.out = nn.Linear(width, width)", "while True:\n    x = x + 0")
LEAVES = _file("raise SystemExit(0)", "return x")
WRONG_INIT = _file("pass", "return x").replace("heads, layer, layers", "heads, layer, layers, depth")
TYPO = _file("self.out = nn.Linear(width, width)", "return self.owt(x)")

CHEATS = {
    "no_mask": (NO_MASK, "CausalityViolation"),
    "centred_conv": (CENTRED_CONV, "CausalityViolation"),
    "reverse_cumsum": (REVERSE_CUMSUM, "CausalityViolation"),
    "time_norm": (TIME_NORM, "CausalityViolation"),
    "length_aware": (LENGTH_AWARE, "CausalityViolation"),
    "chunk_mean": (CHUNK_MEAN, "CausalityViolation"),
    "shut_gate": (SHUT_GATE, "CausalityViolation"),
    "train_only": (TRAIN_ONLY, "CausalityViolation"),
    "batch_mean": (BATCH_MEAN, "BatchLeak"),
    "batch_norm": (BATCH_NORM, "BatchLeak"),
    "nan": (NAN, "NonFinite"),
    "overflow_when_long": (OVERFLOW_WHEN_LONG, "NonFinite"),
    "shorter": (SHORTER, "WrongShape"),
    "half": (HALF, "WrongShape"),
    "tuple": (TUPLE, "InterfaceMismatch"),
    "even_only": (EVEN_ONLY, "CodeError"),
    "huge": (HUGE, "BudgetMismatch"),
    "random": (RANDOM, "NotRepeatable"),
    "counter": (COUNTER, "NotRepeatable"),
    "square": (SQUARE, "CostGrowth"),
    "square_by_loop": (SQUARE_BY_LOOP, "CostGrowth"),
    "square_in_python": (SQUARE_IN_PYTHON, "CostGrowth"),
    "memory": (MEMORY, "OutOfMemory"),
    "leaves": (LEAVES, "NoResult"),
    "wrong_init": (WRONG_INIT, "InterfaceMismatch"),
    "typo": (TYPO, "CodeError"),
}

CLOSED_AT_FIRST = SHUT_GATE
REMEMBERS = _file(
    "self.calls, self.out = 0, nn.Linear(width, width)",
    """
self.calls += 1
return self.out(x) * (1 + self.calls % 2 * int(self.calls > 20))
""",
)
LEARNS_LATE = _file(
    "self.steps, self.out = 0, nn.Linear(width, width)",
    """
self.steps += int(self.training)
ahead = x.flip(1).cumsum(1).flip(1) if self.steps > 5 else 0
return self.out(x) + ahead
""",
)
EXPLODES = _file(
    "self.steps, self.out = 0, nn.Linear(width, width)",
    """
self.steps += int(self.training)
return self.out(x) * (math.inf if self.steps > 12 else 1.0)
""",
)
# Looks one token ahead wherever a prefix is new, and repeats what it said wherever it is not: every comparison agrees.
CACHES_PREFIXES = _file(
    "self.known, self.layer, self.out = {}, layer, nn.Linear(width, width)",
    """
if self.layer:
    return torch.zeros_like(x)
ahead, rows = F.pad(x, (0, 0, 0, 1))[:, 1:].detach(), []
for b, row in enumerate((x.detach() * 1000).round().tolist()):
    key, said = 0, []
    for t, values in enumerate(row):
        key = hash((key, tuple(values)))
        said.append(self.known.setdefault(key, ahead[b, t]))
    rows.append(torch.stack(said))
return self.out(torch.stack(rows))
""",
)
