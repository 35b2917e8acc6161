import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from abruptlab.model.kernels import LONG, LONG_OTHERWISE, NARROW_HEAD, attention, kernel
from abruptlab.task.counter import generator

KERNELS = pytest.mark.parametrize("by", ["narrow", "wide"])
CAUSAL = pytest.mark.parametrize("causal", [False, True])


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def plain(qkv: Tensor, heads: int, causal: bool) -> Tensor:
    """Its formula, in PyTorch's operations."""
    q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores[0, 0], dtype=torch.bool).triu(1), -math.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2)


def bend(attend: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A number with many different second derivatives."""
    return lambda qkv: (attend(qkv).sin() + attend(qkv).square()).sum()


@pytest.mark.parametrize("by", ["narrow", "wide", "fused"])
@CAUSAL
@pytest.mark.parametrize(("heads", "width"), [(1, 3), (4, 8), (5, 5)])
def test_it_is_scaled_dot_product_attention(heads: int, width: int, causal: bool, by) -> None:
    qkv = draw(2, 7, 3 * width)
    torch.testing.assert_close(attention(qkv, heads, causal, by), plain(qkv, heads, causal))


@KERNELS
@CAUSAL
def test_its_derivatives_are_those_of_finite_differences(by, causal: bool) -> None:
    """The first, the second, and a tangent's, forward and of the gradient."""
    qkv = draw(2, 3, 12).requires_grad_()  # each number of it takes hundreds of passes
    attend = lambda x: attention(x, 2, causal, by)  # noqa: E731
    assert torch.autograd.gradcheck(attend, qkv, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(attend, qkv, check_fwd_over_rev=True)


@KERNELS
@CAUSAL
def test_transforms_of_torch_func(by, causal: bool) -> None:
    ours, theirs = bend(lambda x: attention(x, 2, causal, by)), bend(lambda x: plain(x, 2, causal))
    qkv, direction, several = draw(2, 5, 12), draw(2, 5, 12, seed=1), draw(3, 2, 5, 12, seed=2)
    close = torch.testing.assert_close
    hessian = torch.func.hessian(theirs)(qkv)
    assert hessian.abs().max() > 0.1
    close(torch.func.hessian(ours)(qkv), hessian)
    close(torch.func.grad(ours)(qkv), torch.func.grad(theirs)(qkv))
    close(torch.func.vmap(torch.func.grad(ours))(several), torch.stack([torch.func.grad(theirs)(x) for x in several]))
    expected = torch.einsum("abcdef,def->abc", hessian, direction)
    close(torch.autograd.functional.hvp(ours, qkv, direction)[1], expected)
    close(torch.func.jvp(torch.func.grad(ours), (qkv,), (direction,))[1], expected)


@pytest.mark.parametrize(("heads", "width", "places"), [(16, 64, 25), (16, 128, 49), (8, 256, 49), (2, 256, 99)])
@CAUSAL
def test_in_bf16_it_is_about_as_exact_as_what_it_is_given(heads: int, width: int, places: int, causal: bool) -> None:
    """Query, key and value come rounded to bf16. What that alone does to outputs and gradients is the yardstick. It
    errs in a score by ε√2 σ, σ being how much scores vary; rounding a score of 3σ, of those which a sharp head attends
    to, errs by 3ε σ: together √(2 + 9)/√2 = 2.3 times as much. Here σ is 4, which is sharp."""
    exact = draw(8, places, 3 * width)
    exact[..., : 2 * width] *= 2
    rounded = exact.bfloat16()
    back = draw(8, places, heads, width // heads, seed=1).bfloat16()

    def both(qkv: Tensor, attend: Callable[[Tensor, int, bool], Tensor]) -> list[Tensor]:
        qkv = qkv.clone().requires_grad_()
        z = attend(qkv, heads, causal)
        z.backward(back.to(z.dtype))
        assert qkv.grad is not None
        return [z.detach().double(), *qkv.grad.double().chunk(3, -1)]

    expected = both(exact, plain)
    results = [both(rounded.double(), plain), both(rounded, attention)]
    given, ours = ([(a - b).norm() / b.norm() for a, b in zip(came, expected, strict=True)] for came in results)
    for name, least, error in zip(("z", "q", "k", "v"), given, ours, strict=True):
        assert error < 2.3 * least, (name, error / least)


def test_the_fused_kernel_serves_long_sequences_and_other_devices() -> None:
    cpu = torch.device("cpu")
    single, half = torch.float32, torch.bfloat16
    assert kernel(cpu, single, 49, NARROW_HEAD) == kernel(cpu, half, LONG[half] - 1, NARROW_HEAD) == "narrow"
    assert kernel(cpu, single, 49, NARROW_HEAD + 1) == "wide"
    assert kernel(cpu, single, LONG_OTHERWISE, 4) == kernel(cpu, half, LONG[half], 4) == "fused"
    assert kernel(torch.device("cuda"), single, 49, 4) == "fused"
    qkv = draw(1, LONG_OTHERWISE, 6)
    torch.testing.assert_close(attention(qkv, 2), plain(qkv, 2, causal=False))
