"""Scaled dot-product attention by the kernel that is fastest where it runs.

On a CPU, at the lengths of these tasks, PyTorch's fused attention is slow: ten times slower than plain products in
bf16, and half as fast as they are with narrow heads in fp32. There, the products are taken one by one, with a gradient
that is written out. Narrow heads have the positions, not their few coordinates, as the fast axis of every product.
`benchmarks.attention` measures which kernel is fastest; a test holds `kernel` against its table.
"""

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Kernel = Literal["fused", "narrow", "wide"]  # PyTorch's; the products, in one layout or the other

NARROW_HEAD = 8  # the widest head for which the positions are the fast axis
VECTOR = 32  # in bf16, PyTorch's gradient of the softmax is eight times slower on rows shorter than this
LONG = {torch.bfloat16: 512}  # places, from which on the fused kernel is as fast and keeps no pattern, in this dtype
LONG_OTHERWISE = 128


def kernel(device: torch.device, dtype: torch.dtype, places: int, head_width: int) -> Kernel:
    """Which kernel serves such an attention, causal or not."""
    if device.type != "cpu" or places >= LONG.get(dtype, LONG_OTHERWISE):
        return "fused"
    return "narrow" if head_width <= NARROW_HEAD else "wide"


def attention(
    qkv: Float[Tensor, "batch pos three_times_width"], heads: int, causal: bool = False, by: Kernel | None = None
) -> Float[Tensor, "batch pos head d_head"]:
    """The heads' outputs, softmax(QKᵀ/√d_head) V, from query, key and value side by side; if `causal`, a query sees no
    key after it.

    All kernels but the fused one can be differentiated any number of times, mapped (`torch.func.vmap`) and pushed
    forward (`torch.func.jvp`); PyTorch raises an error where the fused one cannot. `by` asks for a kernel other than
    the fastest.
    """
    by = by or kernel(qkv.device, qkv.dtype, qkv.shape[1], qkv.shape[2] // (3 * heads))
    if by == "fused":
        q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2)
    return _Products.apply(qkv, heads, causal, by == "narrow")[0]  # pyright: ignore[reportOptionalSubscript]


class _Products(torch.autograd.Function):
    """The products one by one. The pattern and the parts are outputs too, so that what the gradient makes of them can
    be differentiated again."""

    generate_vmap_rule = True

    @staticmethod
    def forward(qkv: Tensor, heads: int, causal: bool, narrow: bool) -> tuple[Tensor, Tensor, Tensor]:
        parts = _parts(qkv, heads, narrow)
        q, k, v = parts
        scores = _product(q, k.mT, scale=q.shape[-1] ** -0.5)
        if causal:
            scores = scores + torch.full_like(scores[0], -math.inf).triu(1)
        exact = torch.promote_types(scores.dtype, torch.float32)
        pattern = scores.softmax(-1, dtype=exact).to(scores.dtype)
        return _by_place(_product(pattern, v, narrow), heads), parts, pattern

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int, bool, bool], output: tuple[Tensor, Tensor, Tensor]) -> None:
        _, *kept = output
        _, ctx.heads, _, ctx.narrow = inputs
        ctx.save_for_backward(*kept)
        ctx.save_for_forward(*kept)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        parts, pattern = ctx.saved_tensors
        of_z, of_parts, of_pattern = gradients  # the last two: in second derivatives alone
        (q, k, v), scale, narrow = parts, parts.shape[-1] ** -0.5, ctx.narrow
        of_q, of_k, of_v = (None, None, None) if of_parts is None else of_parts
        if of_z is not None:
            z = _laid_out(of_z.transpose(1, 2).flatten(0, 1), narrow)
            of_v = _sum(of_v, _product(pattern.mT, z, narrow))
            of_pattern = _sum(of_pattern, _product(z, v.mT))
        if of_pattern is not None:
            of_scores = _softmax_backward(of_pattern, pattern)
            of_q = _sum(of_q, _product(of_scores, k, narrow, scale))
            of_k = _sum(of_k, _product(of_scores.mT, q, narrow, scale))
        each = (_by_place(torch.zeros_like(v) if one is None else one, ctx.heads) for one in (of_q, of_k, of_v))
        return torch.stack([*each], 2).flatten(2), None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        parts, pattern = ctx.saved_tensors
        (q, k, v), scale, narrow = parts, parts.shape[-1] ** -0.5, ctx.narrow
        assert tangents[0] is not None
        of_parts = _parts(tangents[0], ctx.heads, narrow)
        of_q, of_k, of_v = of_parts
        of_scores = _product(of_q, k.mT, scale=scale) + _product(q, of_k.mT, scale=scale)
        of_pattern = pattern * (of_scores - (pattern * of_scores).sum(-1, keepdim=True))
        of_z = _product(of_pattern, v, narrow) + _product(pattern, of_v, narrow)
        return _by_place(of_z, ctx.heads), of_parts, of_pattern


def _parts(qkv: Tensor, heads: int, narrow: bool) -> Float[Tensor, "3 batch_head pos d_head"]:
    parts = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return _laid_out(parts, narrow).flatten(1, 2)


def _laid_out(x: Float[Tensor, "*batch pos d_head"], narrow: bool) -> Float[Tensor, "*batch pos d_head"]:
    """The same numbers, in memory with the positions as the fast axis if `narrow`."""
    return x.mT.contiguous().mT if narrow else x.contiguous()


def _by_place(x: Float[Tensor, "batch_head pos d_head"], heads: int) -> Float[Tensor, "batch pos head d_head"]:
    return x.unflatten(0, (-1, heads)).transpose(1, 2)


def _product(
    a: Float[Tensor, "batch n k"], b: Float[Tensor, "batch k m"], turned: bool = False, scale: float = 1.0
) -> Float[Tensor, "batch n m"]:
    """scale · a b, rounded once; if `turned`, with n as the fast axis of the result."""
    if turned:
        return _product(b.mT, a.mT, scale=scale).mT
    return torch.baddbmm(a.new_zeros(1, 1, 1), a, b, beta=0, alpha=scale)


def _softmax_backward(of_pattern: Tensor, pattern: Tensor) -> Tensor:
    if pattern.dtype == torch.bfloat16 and pattern.shape[-1] < VECTOR:
        return _softmax_backward(of_pattern.float(), pattern.float()).bfloat16()
    return torch.ops.aten._softmax_backward_data(of_pattern, pattern, -1, pattern.dtype)


def _sum(a: Tensor | None, b: Tensor) -> Tensor:
    return b if a is None else a + b
