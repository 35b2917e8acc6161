"""Attention with narrow heads on a CPU, where small matrix products decide the time of a training step.

At 16 heads of width 4, SDPA takes more than twice as long, and the plain products with autograd's gradients half as
long again: this keeps every product of the forward and the backward pass in the orientation in which the positions,
not the few coordinates of a head, are the fast axis.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


class _NarrowAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, heads: int) -> Tensor:
        parts = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 4, 1).contiguous()  # [3, batch, head, d_head, pos]
        q, k, v = parts
        scale = q.shape[-2] ** -0.5
        pattern = ((q * scale).mT @ k).softmax(-1)
        ctx.save_for_backward(parts, pattern)
        return (v @ pattern.mT).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        parts, pattern = ctx.saved_tensors
        q, k, v = parts
        scale = q.shape[-2] ** -0.5
        z_gradient = gradients[0].permute(0, 2, 3, 1).contiguous()  # [batch, head, d_head, pos]
        pattern_gradient = z_gradient.mT @ v
        logit_gradient = torch.ops.aten._softmax_backward_data(pattern_gradient, pattern, -1, pattern.dtype)
        result = torch.empty_like(parts)
        torch.matmul(k * scale, logit_gradient.mT, out=result[0])
        torch.matmul(q * scale, logit_gradient, out=result[1])
        torch.matmul(z_gradient, pattern, out=result[2])
        return result.permute(1, 4, 0, 2, 3).flatten(2), None


def narrow_attention(
    qkv: Float[Tensor, "batch pos three_times_width"], heads: int
) -> Float[Tensor, "batch pos head d_head"]:
    """The heads' outputs of scaled dot-product attention, from query, key and value side by side.

    It can be differentiated once; where second derivatives are wanted, touch the attention's pattern (`sites`), which
    is then computed step by step.
    """
    return _NarrowAttention.apply(qkv, heads)  # pyright: ignore[reportReturnType]
