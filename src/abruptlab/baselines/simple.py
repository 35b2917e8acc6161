"""The simplest completions, for comparison."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from abruptlab.baselines.completer import Completer, Scaled


class PredictZero(Completer):
    """Zero where an entry is missing, the entry itself where it is observed: what a model does before its drop.

    Its L is the copying level, p_mask · r/9 for uniform factors.
    """

    def solve(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
    ) -> Float[Tensor, "batch m n"]:
        return values


class RowColumnMeans(Scaled):
    """The additive model: mean + effect of the row + effect of the column, by least squares on the observed entries.

    The mean is that of all observed entries. Of the effects that fit equally well, the smallest are taken (least
    squares of least norm), so a row or column without an observed entry has effect zero. Without missing entries the
    effects are the means of rows and columns less the overall mean. The parameters are `Completer`'s.
    """

    def solve(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
    ) -> Float[Tensor, "batch m n"]:
        seen = observed.to(values.dtype)
        mean = values.sum((-1, -2), keepdim=True) / seen.sum((-1, -2), keepdim=True).clamp(min=1)
        residuals = (values - mean) * seen
        # the normal equations of [row effects, column effects]: counts of observed entries, and where they are
        counts = torch.cat([seen.sum(-1), seen.sum(-2)], -1)
        blank_rows, blank_columns = (seen.new_zeros(len(seen), side, side) for side in seen.shape[-2:])
        meetings = torch.cat([torch.cat([blank_rows, seen], -1), torch.cat([seen.mT, blank_columns], -1)], -2)
        totals = torch.cat([residuals.sum(-1), residuals.sum(-2)], -1)
        solved = torch.linalg.pinv(torch.diag_embed(counts) + meetings, hermitian=True) @ totals.unsqueeze(-1)
        rows, columns = solved.split(seen.shape[-2:], dim=-2)
        return mean + rows + columns.mT
