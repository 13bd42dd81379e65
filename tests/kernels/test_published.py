"""Which published mixer is which block: each against its own paper's recurrence, one token after the other, in float64.

The formulas are written as the papers have them, for one sequence and head: row vectors are keys, queries and values,
the state S of Mamba-2, RWKV-7 and Comba has values by keys. T time, K key width, V value width, D channels, J taps.
"""

import torch
from torch import Tensor
from torch.nn import functional

from asiarch_kernels import causal_conv, chunk_recurrence, scan
from tests.kernels.checks import error

TIME, KEYS, VALUES = 70, 6, 5
EXACT = 1e-9
UNIT = torch.eye(KEYS).double()


def heads(seed: int = 0, *, unit: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of one head; `unit` keys are as long as 1."""
    torch.manual_seed(seed)
    q_TK, k_TK, v_TV = torch.randn(TIME, KEYS), torch.randn(TIME, KEYS), torch.randn(TIME, VALUES)
    k_TK = functional.normalize(k_TK.double(), dim=-1) if unit else k_TK.double()
    return q_TK.double(), k_TK, v_TV.double()


def gates(*width: int) -> Tensor:
    """Numbers between 0 and 1."""
    return torch.rand(TIME, *width).double() * 0.98 + 0.01


def block(q_TK: Tensor, k_TK: Tensor, v_TV: Tensor, *, delta: bool = False, **given: Tensor) -> Tensor:
    """The block for one head of one sequence."""
    log_decay, beta, erase = (given.get(name) for name in ("log_decay", "beta", "erase"))
    return chunk_recurrence(
        *(x[None, :, None] for x in (q_TK, k_TK, v_TV)),
        log_decay=None if log_decay is None else log_decay[None, :, None],
        beta=None if beta is None else beta[None, :, None],
        erase=None if erase is None else erase[None, :, None],
        delta=delta,
    )[0, :, 0]


def test_linear_attention_is_the_recurrence_alone() -> None:
    """S += k'v, o = q S (arXiv 2006.16236), here as a sum over all pairs."""
    q, k, v = heads()
    o = torch.stack(
        [sum((q[t] @ k[s] * v[s] for s in range(t + 1)), torch.zeros(VALUES)) for t in range(TIME)]
    )
    assert error(block(q, k, v), o) < EXACT


def test_the_normaliser_of_linear_attention_is_one_more_value() -> None:
    """S += k'v, z += k, o = q S / (q z) (arXiv 2006.16236)."""
    q, k, v = heads()
    q, k = functional.elu(q) + 1, functional.elu(k) + 1
    S, z, outputs = torch.zeros(KEYS, VALUES).double(), torch.zeros(KEYS).double(), []
    for t in range(TIME):
        S, z = S + torch.outer(k[t], v[t]), z + k[t]
        outputs.append(q[t] @ S / (q[t] @ z))
    y = block(q, k, torch.cat((v, torch.ones(TIME, 1).double()), dim=1))
    assert error(y[:, :-1] / y[:, -1:], torch.stack(outputs)) < EXACT


def test_retnet_decays_by_a_constant_of_the_head() -> None:
    """S = γ S + k'v (arXiv 2307.08621)."""
    q, k, v = heads()
    gamma, S, outputs = 1 - 2.0**-5, torch.zeros(KEYS, VALUES).double(), []
    for t in range(TIME):
        S = gamma * S + torch.outer(k[t], v[t])
        outputs.append(q[t] @ S)
    log_decay = torch.full((TIME,), gamma).double().log()
    assert error(block(q, k, v, log_decay=log_decay), torch.stack(outputs)) < EXACT


def test_gla_decays_each_channel() -> None:
    """S = Diag(α) S + k'v (arXiv 2312.06635)."""
    q, k, v = heads()
    alpha, S, outputs = gates(KEYS) ** (1 / 16), torch.zeros(KEYS, VALUES).double(), []
    for t in range(TIME):
        S = torch.diag(alpha[t]) @ S + torch.outer(k[t], v[t])
        outputs.append(q[t] @ S)
    assert error(block(q, k, v, log_decay=alpha.log()), torch.stack(outputs)) < EXACT


def test_deltanet_erases_along_the_key() -> None:
    """v_old = S k, v_new = β v + (1 - β) v_old, S = S - v_old k' + v_new k' (arXiv 2406.06484)."""
    q, k, v = heads(unit=True)
    beta, S, outputs = gates(), torch.zeros(VALUES, KEYS).double(), []
    for t in range(TIME):
        old = S @ k[t]
        new = beta[t] * v[t] + (1 - beta[t]) * old
        S = S - torch.outer(old, k[t]) + torch.outer(new, k[t])
        outputs.append(S @ q[t])
    assert error(block(q, k, v, beta=beta, delta=True), torch.stack(outputs)) < EXACT


def test_gated_deltanet_decays_before_it_erases() -> None:
    """S = S (α (I - β k k')) + β v k' (arXiv 2412.06464)."""
    q, k, v = heads(unit=True)
    alpha, beta, S, outputs = gates(), gates(), torch.zeros(VALUES, KEYS).double(), []
    for t in range(TIME):
        S = S @ (alpha[t] * (UNIT - beta[t] * torch.outer(k[t], k[t])))
        S = S + beta[t] * torch.outer(v[t], k[t])
        outputs.append(S @ q[t])
    y = block(q, k, v, log_decay=alpha.log(), beta=beta, delta=True)
    assert error(y, torch.stack(outputs)) < EXACT


def test_kimi_delta_attention_decays_each_channel_before_it_erases() -> None:
    """S = (I - β k k') Diag(α) S + β k v' (arXiv 2510.26692)."""
    q, k, v = heads(unit=True)
    alpha, beta, S, outputs = gates(KEYS), gates(), torch.zeros(KEYS, VALUES).double(), []
    for t in range(TIME):
        S = (UNIT - beta[t] * torch.outer(k[t], k[t])) @ torch.diag(alpha[t]) @ S
        S = S + beta[t] * torch.outer(k[t], v[t])
        outputs.append(q[t] @ S)
    y = block(q, k, v, log_decay=alpha.log(), beta=beta, delta=True)
    assert error(y, torch.stack(outputs)) < EXACT


def test_comba_erases_more_weakly_than_it_writes_and_corrects_its_query() -> None:
    """S = S (α - β̃ k k') + β v k' with β̃ = b β, o = S (q - d k) (arXiv 2506.02475)."""
    q, k, v = heads(unit=True)
    alpha, beta, S, outputs = gates() * 0.5 + 0.5, gates(), torch.zeros(VALUES, KEYS).double(), []
    weaker, corrected = 0.7, 0.02
    for t in range(TIME):
        S = S @ (alpha[t] * UNIT - weaker * beta[t] * torch.outer(k[t], k[t]))
        S = S + beta[t] * torch.outer(v[t], k[t])
        outputs.append(S @ (q[t] - corrected * k[t]))
    # The block erases what has decayed: α β e e' is b β k k' for this length of e.
    erase = k * (weaker / alpha[:, None]).sqrt()
    y = block(q - corrected * k, k, v, log_decay=alpha.log(), beta=beta, erase=erase, delta=True)
    assert error(y, torch.stack(outputs)) < EXACT


def test_rwkv_7_with_one_rate_for_a_head_erases_along_a_key_of_its_own() -> None:
    """S = S (Diag(w) - κ̂' (a ⊙ κ̂)) + v' k̃ (arXiv 2503.14456), for a alike in all channels.

    The block erases what has decayed, along one key on both sides. With rates for each channel the sides would differ.
    """
    q, k, v = heads()
    removed = functional.normalize(torch.randn(TIME, KEYS).double(), dim=-1)
    w, a, S, outputs = gates() * 0.4 + 0.6, gates(), torch.zeros(VALUES, KEYS).double(), []
    for t in range(TIME):
        S = S @ (w[t] * UNIT - torch.outer(removed[t], a[t] * removed[t])) + torch.outer(v[t], k[t])
        outputs.append(S @ q[t])
    erase = removed * (a / w)[:, None].sqrt()
    y = block(q, k, v, log_decay=w.log(), erase=erase, delta=True)
    assert error(y, torch.stack(outputs)) < EXACT


def test_mamba_2_is_a_decay_of_the_head_and_a_strength_of_writing() -> None:
    """The state h = exp(Δ A) h + Δ x B', y = h C + D x (arXiv 2405.21060, with Mamba's step Δ)."""
    C, B, x = heads()
    step, rate, skip = functional.softplus(torch.randn(TIME).double()), -0.7, 0.3
    h, outputs = torch.zeros(VALUES, KEYS).double(), []
    for t in range(TIME):
        h = torch.exp(step[t] * rate) * h + step[t] * torch.outer(x[t], B[t])
        outputs.append(h @ C[t] + skip * x[t])
    y = block(C, B, x, log_decay=step * rate, beta=step) + skip * x
    assert error(y, torch.stack(outputs)) < EXACT


def test_hgrn_is_a_scan_with_a_lower_bound_to_its_gate() -> None:
    """λ = γ + (1 - γ) ⊙ f, h = λ h + (1 - λ) c, o = g ⊙ h (arXiv 2311.04823, without its phases)."""
    torch.manual_seed(1)
    c, g = torch.randn(TIME, VALUES).double(), gates(VALUES)
    share, bound = gates(VALUES), torch.rand(VALUES).double()
    h, outputs = torch.zeros(VALUES).double(), []
    for t in range(TIME):
        kept = bound + (1 - bound) * share[t]
        h = kept * h + (1 - kept) * c[t]
        outputs.append(g[t] * h)
    kept = bound + (1 - bound) * share
    assert error(g * scan(kept[None], ((1 - kept) * c)[None])[0], torch.stack(outputs)) < EXACT


def test_mingru_is_a_scan() -> None:
    """The state h = (1 - z) ⊙ h + z ⊙ h̃ (arXiv 2410.01201)."""
    torch.manual_seed(2)
    z, proposed = gates(VALUES), torch.randn(TIME, VALUES).double()
    h, outputs = torch.zeros(VALUES).double(), []
    for t in range(TIME):
        h = (1 - z[t]) * h + z[t] * proposed[t]
        outputs.append(h)
    assert error(scan((1 - z)[None], (z * proposed)[None])[0], torch.stack(outputs)) < EXACT


def test_a_hyena_operator_of_order_two_is_two_gates_around_a_convolution() -> None:
    """y[t] = x²[t] Σ_s h[t - s] x¹[s] v[s] (arXiv 2302.10866), for a filter of at most 64 taps."""
    torch.manual_seed(3)
    v, first, second = (torch.randn(TIME, VALUES).double() for _ in range(3))
    filter_JD = torch.randn(64, VALUES).double()
    outputs = [
        second[t]
        * sum((filter_JD[t - s] * first[s] * v[s] for s in range(max(0, t - 63), t + 1)), torch.zeros(VALUES))
        for t in range(TIME)
    ]
    y = second * causal_conv((first * v)[None], filter_JD.flip(0).mT)[0]
    assert error(y, torch.stack(outputs)) < EXACT
