import pytest
import torch
import torch.nn.functional as F

from abruptlab.model.narrow_attention import narrow_attention
from abruptlab.task.matrices import generator


@pytest.mark.parametrize(("heads", "width"), [(1, 3), (4, 8), (5, 5)])
def test_it_is_scaled_dot_product_attention(heads: int, width: int) -> None:
    qkv = torch.randn(2, 7, 3 * width, dtype=torch.float64, generator=generator(0), requires_grad=True)
    q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    expected = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
    torch.testing.assert_close(narrow_attention(qkv, heads), expected)


def test_its_gradient_is_that_of_finite_differences() -> None:
    qkv = torch.randn(2, 5, 12, dtype=torch.float64, generator=generator(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: narrow_attention(x, 2), qkv)


def test_a_second_derivative_is_refused() -> None:
    qkv = torch.randn(1, 3, 6, generator=generator(0), requires_grad=True)
    (gradient,) = torch.autograd.grad(narrow_attention(qkv, 2).square().sum(), qkv, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.square().sum().backward()
