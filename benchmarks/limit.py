"""The limit of a training step: its matrix products at the machine's rate.

FLOPs are counted as 2 for each multiply-add of a matrix product, and nothing else is counted. For T = batch · P tokens
of P positions each, width d, MLP width m and L layers, one forward pass has

    2 · T · ( L · (4d² + 2dm)  +  d  +  L · 2Pd )
               query, key,    read-  scores and
               value, output;   out  weighted
               MLP                   values

A training pass has three times as many: backward, each product Y = A B needs dA and dB, as large as Y each. Nothing
of this can be left out at the first layer, whose input comes from the trained embeddings. So it is 6 · T · the
parameters in matrix products, plus the attention's. Look-ups in embeddings are no products.
"""

import torch

from abruptlab.config import RunConfig
from benchmarks.clock import seconds

PIECE_S = 0.05  # short products are timed in rows of about this length
PIECES = 3  # of which the fastest counts


def forward_flops(config: RunConfig, matrices: int) -> int:
    """The FLOPs of a forward pass on `matrices` matrices."""
    model, positions = config.model, config.matrices.positions
    linear = model.layers * (4 * model.width**2 + 2 * model.width * model.mlp_width) + model.width
    attention = model.layers * 2 * positions * model.width
    return 2 * matrices * positions * (linear + attention)


class LargestProduct:
    """The model's largest product, [batch · positions, width] × [width, mlp_width], alone."""

    def __init__(self, config: RunConfig, dtype: torch.dtype, device: torch.device) -> None:
        tokens, width, mlp_width = (
            config.training.batch * config.matrices.positions,
            config.model.width,
            config.model.mlp_width,
        )
        self.flops = 2 * tokens * width * mlp_width
        self.device = device
        self.tokens = torch.randn(tokens, width, device=device).to(dtype)
        weight = torch.randn(width, mlp_width, device=device).to(dtype)
        self.weights = [weight, weight.T.contiguous().T]  # both ways to lay them out: the machine may prefer one
        self.out = torch.empty(tokens, mlp_width, device=device, dtype=dtype)

    def __call__(self) -> float:
        """FLOP/s, the best of several."""
        return max(self.flops / self._best_seconds(weight) for weight in self.weights)

    def _best_seconds(self, weight: torch.Tensor) -> float:
        def product() -> None:
            torch.mm(self.tokens, weight, out=self.out)

        product()
        count = max(1, int(PIECE_S / seconds(product, self.device)))
        return min(seconds(lambda: [product() for _ in range(count)], self.device) / count for _ in range(PIECES))
