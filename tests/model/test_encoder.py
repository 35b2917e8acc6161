import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from abruptlab.config import ModelConfig
from abruptlab.errors import DataError
from abruptlab.model.encoder import Encoder
from abruptlab.model.sites import record
from abruptlab.task.counter import generator
from abruptlab.task.vocabulary import MASK
from tests.conftest import SMALL, make_encoder

assert_close = partial(torch.testing.assert_close, rtol=1e-6, atol=1e-8)


def fresh(config: ModelConfig = SMALL, seed: int = 0) -> Encoder:
    model = Encoder(config, vocabulary_size=2002, positions=49)
    model.initialise(generator(seed))
    return model


def test_parameters_of_the_paper():
    """Counted from the architecture: 4 layers, width 768, MLP 3072, 2002 tokens, 49 positions."""
    with torch.device("meta"):
        model = Encoder(ModelConfig(), vocabulary_size=2002, positions=49)
    width, mlp = 768, 3072
    layer = 4 * (width * width + width) + 2 * width * mlp + mlp + width + 2 * 2 * width
    count = (2002 + 49 + 2) * width + 4 * layer + width + 1
    assert sum(p.numel() for p in model.parameters()) == count == 29_928_961
    assert model(torch.zeros(3, 49, dtype=torch.long, device="meta")).shape == (3, 49)


def test_a_smaller_matrix_uses_the_first_positions(encoder: Encoder, tokens: Tensor):
    before = encoder(tokens)
    with torch.no_grad():
        encoder.position_embedding.weight[9:] += 1
    assert torch.equal(encoder(tokens), before)
    with torch.no_grad():
        encoder.position_embedding.weight[8] += torch.arange(32.0)
    assert not torch.allclose(encoder(tokens), before)


def test_what_are_no_tokens_of_the_model_is_an_error(encoder: Encoder):
    places, tokens = len(encoder.position_embedding.weight), encoder.token_embedding.num_embeddings
    with pytest.raises(DataError, match=rf"at places 0 to {places - 1}, got int64 \[1, {places + 1}\]"):
        encoder(torch.zeros(1, places + 1, dtype=torch.long))
    with pytest.raises(DataError, match=rf"expected token ids 0 to {tokens - 1}, got some from 0 to {tokens}"):
        encoder(torch.tensor([[0, tokens]]))


def test_only_position_tells_places_apart(encoder: Encoder, tokens: Tensor):
    with torch.no_grad():
        encoder.position_embedding.weight[:] = encoder.position_embedding.weight[0]
    torch.testing.assert_close(encoder(tokens.flip(1)), encoder(tokens).flip(1))


def test_every_place_sees_every_other(encoder: Encoder, tokens: Tensor):
    changed = tokens.clone()
    changed[:, 4] = 7
    assert ((encoder(changed) - encoder(tokens)).abs() > 0).all()


def test_initialisation_statistics():
    model = fresh(replace(SMALL, init_std=0.05))
    weights = [m.weight[1:] for m in model.modules() if isinstance(m, torch.nn.Linear | torch.nn.Embedding)]
    for weight in [w for w in weights if w.shape[0] > 1]:  # all but the read-out
        n = weight.numel()
        assert abs(weight.mean()) < 5 * 0.05 / math.sqrt(n)
        assert abs(weight.std() / 0.05 - 1) < 5 / math.sqrt(2 * n)
        kurtosis = (weight / 0.05).pow(4).mean()
        assert abs(kurtosis - 3) < 5 * math.sqrt(96 / n)  # normal, not uniform (1.8)
    bound = 1 / math.sqrt(32)
    assert 0.8 * bound < model.readout.weight.abs().max() <= bound
    assert abs(model.readout.weight.std() * math.sqrt(3) / bound - 1) < 0.4
    assert 0 < model.readout.bias.abs() <= bound
    for name, parameter in model.named_parameters():
        if "norm" in name:
            assert (parameter == float(name.endswith("weight"))).all()
        elif name.endswith("bias") and not name.startswith("readout"):
            assert (parameter == 0).all()


def test_initialisation_is_of_the_generator_alone():
    torch.manual_seed(1)
    first = fresh(seed=4).state_dict()
    torch.manual_seed(2)
    again = Encoder(SMALL, 2002, 49)
    with torch.no_grad():
        for parameter in again.parameters():
            parameter.fill_(9)  # all of them are drawn anew, norms and biases too
    again.initialise(generator(4))
    assert all(torch.equal(first[name], weight) for name, weight in again.state_dict().items())
    assert not torch.equal(first["position_embedding.weight"], fresh(seed=5).position_embedding.weight)


@pytest.mark.parametrize("mask_embedding", ["zero", "trained"])
def test_mask_embedding_through_training(mask_embedding, tokens: Tensor):
    model = fresh(replace(SMALL, mask_embedding=mask_embedding))
    start = model.token_embedding.weight.detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (model(tokens) - 1).square().mean().backward()
        optimizer.step()
    row, others = model.token_embedding.weight[MASK], model.token_embedding.weight[tokens.unique()[1:]]
    assert (others != start[tokens.unique()[1:]]).all()
    if mask_embedding == "zero":
        assert (start[MASK] == 0).all()
        assert (row == 0).all()
    else:
        assert (start[MASK] != 0).all()
        assert (row - start[MASK]).abs().min() > 1e-3


def test_row_and_column_embeddings_are_shared_by_the_places_of_a_row_and_a_column() -> None:
    model = Encoder(replace(SMALL, positions="row+column"), vocabulary_size=20, positions=12, columns=4)
    model.initialise(generator(0))
    table = model.position_embedding.weight.unflatten(0, (3, 4))
    torch.testing.assert_close(table[1, 2] - table[1, 0], table[2, 2] - table[2, 0])
    torch.testing.assert_close(table[2, 3] - table[0, 3], table[2, 1] - table[0, 1])
    assert table.std() > 0
    tokens = torch.randint(20, (5, 12), generator=generator(2))
    model(tokens).sum().backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if name.startswith("position_embedding")}
    assert len(gradients) == 2
    assert all(gradient is not None and gradient.any() for gradient in gradients.values())


@pytest.mark.parametrize("heads", [2, 8])  # of width 16 and 4: one for each layout of the attention
def test_the_curvature_of_the_loss_is_that_of_finite_differences(heads: int, tokens: Tensor) -> None:
    """vᵀHv along a random direction in the space of all weights: by differentiating twice, by the transforms of
    torch.func, through a touched pattern, and by finite differences of the gradient."""
    model = make_encoder(replace(SMALL, heads=heads)).double()
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    along = {
        name: torch.randn(weight.shape, generator=generator(6, at), dtype=weight.dtype)
        for at, (name, weight) in enumerate(weights.items())
    }
    along["token_embedding.weight"][MASK] = 0  # it has no gradient

    def loss(weights: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(model, weights, (tokens,)).square().mean()

    def slope(step: float) -> Tensor:
        there = {name: weight + step * along[name] for name, weight in weights.items()}
        return torch.stack([(g * along[n]).sum() for n, g in torch.func.grad(loss)(there).items()]).sum()

    def twice() -> Tensor:
        leaves = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
        first = torch.autograd.grad(loss(leaves), [*leaves.values()], create_graph=True)
        back = torch.stack([(g * v).sum() for g, v in zip(first, along.values(), strict=True)]).sum()
        second = torch.autograd.grad(back, [*leaves.values()])
        return torch.stack([(h * v).sum() for h, v in zip(second, along.values(), strict=True)]).sum()

    by_differences = (slope(1e-5) - slope(-1e-5)) / 2e-5
    assert by_differences.abs() > 0.1
    assert_close(twice(), by_differences)
    pushed = torch.func.jvp(torch.func.grad(loss), (weights,), (along,))[1]
    assert_close(torch.stack([(pushed[n] * along[n]).sum() for n in along]).sum(), by_differences)
    with record(model, "blocks.*.attn.pattern"):
        assert_close(twice(), by_differences)
