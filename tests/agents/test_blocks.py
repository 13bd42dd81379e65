"""The blocks that mixers are made of, held against the plainest way to compute the same."""

import importlib

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from asiarch.agents.grammar.blocks import chunks
from asiarch.agents.grammar.blocks.fir import filtered
from asiarch.agents.grammar.blocks.local import WINDOW, attend_nearby
from asiarch.agents.grammar.blocks.scan import scan
from asiarch.agents.grammar.blocks.taps import convolve

LENGTHS = (1, 7, 16, 48, 65, 130)
RULES = ("linear", "linear_scalar", "linear_channel", "delta", "delta_scalar", "delta_channel")
KEYS, VALUES = 8, 6


def step_by_step(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, log_decay: Tensor, *, erase: bool) -> Tensor:
    """S_t = D_t S_{t-1} + b_t k_t (v_t - k_t D_t S_{t-1})', or without the subtraction; y_t = q_t S_t."""
    state = torch.zeros(*q.shape[:2], q.shape[-1], v.shape[-1], dtype=q.dtype)
    outputs = []
    for t in range(q.shape[2]):
        state = log_decay[:, :, t].exp()[..., None] * state
        known = (k[:, :, t, None, :] @ state)[:, :, 0] if erase else 0
        state = state + k[:, :, t, :, None] * (beta[:, :, t] * (v[:, :, t] - known))[:, :, None, :]
        outputs.append((q[:, :, t, None, :] @ state)[:, :, 0])
    return torch.stack(outputs, dim=2)


def inputs(rule: str, length: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """Queries, keys of unit length, values, strengths up to 2, and decays from hardly any to exp(-4) a step."""
    generator = torch.Generator().manual_seed(length)

    def draw(size: int) -> Tensor:
        return torch.randn(2, 2, length, size, generator=generator, dtype=torch.float64)

    q, k, v = draw(KEYS), functional.normalize(draw(KEYS), dim=-1), draw(VALUES)
    beta, log_decay = 2 * draw(1).sigmoid(), -4 * (3 * draw(KEYS if "channel" in rule else 1)).sigmoid()
    return tuple(x.to(dtype).requires_grad_() for x in (q, k, v, beta, log_decay))


def chunked(rule: str, given: tuple[Tensor, ...]) -> Tensor:
    q, k, v, beta, log_decay = given
    arguments = [q, k, v] + [beta] * ("delta" in rule) + [log_decay] * ("_" in rule)
    recurrence = importlib.import_module(f"asiarch.agents.grammar.blocks.{rule}").recurrence
    result: Tensor = recurrence(*arguments)
    return result


def plainly(rule: str, given: tuple[Tensor, ...]) -> Tensor:
    q, k, v, beta, log_decay = given
    erase = "delta" in rule
    strength = beta if erase else torch.ones_like(beta)
    fading = log_decay if "_" in rule else torch.zeros_like(log_decay)
    return step_by_step(q, k, v, strength, fading, erase=erase)


@pytest.fixture(autouse=True)
def chunks_of_sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size at which every decay is safe."""
    monkeypatch.setattr(chunks, "CHUNK", 16)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("length", LENGTHS)
def test_a_chunked_recurrence_is_the_recurrence(rule: str, length: int) -> None:
    given = inputs(rule, length)
    torch.testing.assert_close(chunked(rule, given), plainly(rule, given), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rule", ["linear", "linear_scalar", "delta", "delta_scalar"])
@pytest.mark.parametrize("size", [32, 64])
def test_larger_chunks_compute_the_same(rule: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK", size)
    given = inputs(rule, 130)
    torch.testing.assert_close(chunked(rule, given), plainly(rule, given), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rule", RULES)
def test_gradients_are_the_recurrence_s(rule: str) -> None:
    ours, theirs = inputs(rule, 40), inputs(rule, 40)
    found = torch.autograd.grad(chunked(rule, ours).square().sum(), ours, materialize_grads=True)
    wanted = torch.autograd.grad(plainly(rule, theirs).square().sum(), theirs, materialize_grads=True)
    for mine, its in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("rule", RULES)
def test_single_precision_stays_close_over_many_steps(rule: str) -> None:
    found = chunked(rule, inputs(rule, 500, torch.float32)).detach()
    wanted = plainly(rule, inputs(rule, 500)).detach()
    assert float((found - wanted).abs().max() / wanted.abs().max()) < 1e-4


def test_a_scan_is_its_recurrence() -> None:
    generator = torch.Generator().manual_seed(0)
    decay, x = (torch.rand(2, 37, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    state, wanted = torch.zeros(2, 3, dtype=torch.float64), []
    for t in range(37):
        state = decay[:, t] * state + x[:, t]
        wanted.append(state)
    torch.testing.assert_close(scan(decay, x), torch.stack(wanted, dim=1))


@pytest.mark.parametrize("length", LENGTHS)
def test_attention_nearby_is_attention_under_a_band(length: int) -> None:
    q, k, v, _, _ = inputs("linear", length)
    places = torch.arange(length)
    back = places[:, None] - places
    scores = (q @ k.mT).masked_fill((back < 0) | (back >= WINDOW), -torch.inf)
    torch.testing.assert_close(attend_nearby(q, k, v), scores.softmax(dim=-1) @ v)


@pytest.mark.parametrize("length", [1, 3, 20])
def test_both_convolutions_weigh_the_last_positions(length: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, length, 3, generator=generator, dtype=torch.float64)
    taps = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    wanted = sum(functional.pad(x, (0, 0, 3 - j, 0))[:, :length] * taps[j] for j in range(4))
    torch.testing.assert_close(convolve(x, taps), wanted)
    torch.testing.assert_close(filtered(x, taps.T[:, None]), wanted)
