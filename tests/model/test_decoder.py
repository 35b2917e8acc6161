"""The decoder is GPT-2 with a read-out of its own: parity with the formulas and the stock model, causality, cache."""

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Literal

import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from abruptlab.config import ModelConfig
from abruptlab.model.build import new_model
from abruptlab.model.decoder import Decoder
from abruptlab.model.generate import generate
from abruptlab.model.sites import record, replace as replace_at, site_names
from abruptlab.presets import preset
from abruptlab.task.counter import generator

SMALL = ModelConfig(kind="decoder", layers=2, heads=4, width=32, mlp_width=48, mask_embedding="trained")
LINEAR = replace(SMALL, attention="linear")
TOKENS, PLACES = 20, 13
assert_close = partial(torch.testing.assert_close, rtol=1.3e-6, atol=4e-5)


def make_decoder(config: ModelConfig = SMALL) -> Decoder:
    """A decoder with weights large enough to make attention far from uniform, and biases and norms too."""
    model = Decoder(config, TOKENS, PLACES)
    model.initialise(generator(0))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator(1, parameter.numel()))
    return model.eval()


@pytest.fixture(params=[SMALL, LINEAR], ids=["softmax", "linear"])
def model(request: pytest.FixtureRequest) -> Decoder:
    return make_decoder(request.param)


@pytest.fixture
def tokens() -> Tensor:
    return torch.randint(TOKENS, (5, PLACES), generator=generator(2))


def stock_names(model: Decoder) -> dict[str, tuple[str, bool]]:
    """The decoder's parameters → GPT-2's names, and whether the matrix is transposed there."""
    names = {
        "token_embedding.weight": ("transformer.wte.weight", False),
        "position_embedding.weight": ("transformer.wpe.weight", False),
        "readout.weight": ("lm_head.weight", False),
    }
    for kind in ("weight", "bias"):
        names[f"final_norm.{kind}"] = (f"transformer.ln_f.{kind}", False)
        for i in range(model.config.layers):
            for ours, theirs, matrix in (
                ("attn_norm", "ln_1", False),
                ("attn.qkv", "attn.c_attn", True),
                ("attn.output", "attn.c_proj", True),
                ("mlp_norm", "ln_2", False),
                ("mlp.input", "mlp.c_fc", True),
                ("mlp.output", "mlp.c_proj", True),
            ):
                names[f"blocks.{i}.{ours}.{kind}"] = (f"transformer.h.{i}.{theirs}.{kind}", matrix and kind == "weight")
    return names


def stock(model: Decoder) -> GPT2LMHeadModel:
    """GPT-2 of the transformers library, as it comes but for the sizes, dropout and its own read-out, with the
    decoder's weights."""
    config = model.config
    gpt = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=TOKENS,
            n_positions=PLACES,
            n_embd=config.width,
            n_layer=config.layers,
            n_head=config.heads,
            n_inner=config.mlp_width,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
            tie_word_embeddings=False,
        )
    )
    weights = model.state_dict()
    renamed = {
        theirs: weights[ours].T if transposed else weights[ours]
        for ours, (theirs, transposed) in stock_names(model).items()
    }
    gpt.load_state_dict(renamed)
    return gpt


def test_outputs_agree_with_stock_gpt2(tokens: Tensor) -> None:
    model = make_decoder()
    logits = model(tokens)
    assert logits.std() > 0.5
    assert_close(stock(model)(tokens).logits, logits)


def test_gradients_agree_with_stock_gpt2(tokens: Tensor) -> None:
    model = make_decoder()
    gpt = stock(model)
    gpt(tokens, labels=tokens).loss.backward()
    logits = model(tokens[:, :-1])
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()
    theirs = dict(gpt.named_parameters())
    names = stock_names(model)
    assert names.keys() == dict(model.named_parameters()).keys()
    for name, parameter in model.named_parameters():
        stock_name, transposed = names[name]
        expected = theirs[stock_name].grad
        assert expected is not None
        assert parameter.grad is not None
        assert_close(parameter.grad, expected.T if transposed else expected, msg=name)
        if name.endswith("qkv.bias"):
            continue  # that of the keys has none
        assert parameter.grad.abs().max() > 1e-4, name


def logits_by_formula(w: dict[str, Tensor], tokens: Tensor, heads: int, kind: Literal["softmax", "linear"]) -> Tensor:
    """The logits of one sequence from the weights, written down place by place and head by head from the formulas."""

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return (
            centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]
        )

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def gelu(x: Tensor) -> Tensor:
        return x / 2 * (1 + ((2 / math.pi) ** 0.5 * (x + 0.044715 * x**3)).tanh())

    x = w["token_embedding.weight"][tokens] + w["position_embedding.weight"][: len(tokens)]
    for block in ("blocks.0", "blocks.1"):
        q, k, v = linear(norm(x, f"{block}.attn_norm"), f"{block}.attn.qkv").chunk(3, -1)
        rows = []
        for t in range(len(tokens)):
            outputs = []
            for qh, kh, vh in zip(q[t].chunk(heads), k.chunk(heads, -1), v.chunk(heads, -1), strict=True):
                scores = kh[: t + 1] @ qh / len(qh) ** 0.5
                weights = scores.exp() / scores.exp().sum() if kind == "softmax" else scores
                outputs.append(weights @ vh[: t + 1])
            rows.append(torch.cat(outputs))
        x = x + linear(torch.stack(rows), f"{block}.attn.output")
        hidden = gelu(linear(norm(x, f"{block}.mlp_norm"), f"{block}.mlp.input"))
        x = x + linear(hidden, f"{block}.mlp.output")
    return norm(x, "final_norm") @ w["readout.weight"].T


def test_outputs_and_gradients_are_those_of_the_formulas(model: Decoder, tokens: Tensor) -> None:
    """In double precision, and at every parameter."""
    model = model.double()
    weights = {name: weight.detach().clone().requires_grad_() for name, weight in model.named_parameters()}
    expected = torch.stack([logits_by_formula(weights, row, 4, model.config.attention) for row in tokens])
    logits = model(tokens)
    torch.testing.assert_close(logits, expected)
    direction = torch.randn(logits.shape, generator=generator(5), dtype=torch.float64)
    (logits * direction).sum().backward()
    (expected * direction).sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, weights[name].grad, msg=name)


def test_a_new_decoder_is_drawn_as_gpt2_is() -> None:
    model = Decoder(replace(SMALL, width=256, mlp_width=1024, init_std=0.05), 405, 99)
    model.initialise(generator(3))
    assert not torch.equal(model.readout.weight, model.token_embedding.weight)
    again = Decoder(model.config, 405, 99)
    again.initialise(generator(3))
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, again.get_parameter(name))
        if name.endswith("bias"):
            assert (parameter == 0).all()
        elif "norm" in name:
            assert (parameter == 1).all()
        else:
            std = 0.025 if name.endswith(("attn.output.weight", "mlp.output.weight")) else 0.05  # / √(2·2 layers)
            assert parameter.std().item() == pytest.approx(std, rel=0.03), name


def test_the_papers_sizes() -> None:
    """405 ids and 99 places, of which GPT-2 with 2 layers, width 256 and a read-out of its own makes 1.8 million
    parameters; they start at 0.02."""
    model = new_model(preset("gpt"))
    assert isinstance(model, Decoder)
    assert model.token_embedding.num_embeddings == 405
    assert model.position_embedding.num_embeddings == 99
    width, layer = 256, 12 * 256**2 + 13 * 256
    assert sum(p.numel() for p in model.parameters()) == (405 + 99 + 405) * width + 2 * layer + 2 * width
    assert model.config.init_std == 0.02


@pytest.mark.parametrize("at", [0, 4, PLACES - 1])
def test_a_token_changes_nothing_before_it(model: Decoder, tokens: Tensor, at: int) -> None:
    changed = tokens.clone()
    changed[:, at] = (tokens[:, at] + 1) % TOKENS
    difference = (model(changed) - model(tokens)).abs().amax(-1)
    assert (difference[:, :at] == 0).all()
    assert (difference[:, at:] > 0).all()


@pytest.mark.parametrize("first", [1, 5])
def test_with_a_past_the_logits_are_those_of_the_whole(model: Decoder, tokens: Tensor, first: int) -> None:
    """The prompt at once, then several tokens, then one by one."""
    past, pieces = model.new_past(), []
    ends = [0, first, first + 3, *range(first + 4, PLACES + 1)]
    for start, end in pairwise(ends):
        pieces.append(model(tokens[:, start:end], past))
    assert len(past[0]) == PLACES
    assert_close(torch.cat(pieces, 1), model(tokens))


def test_what_is_generated_is_what_a_model_without_a_past_says(model: Decoder, tokens: Tensor) -> None:
    written = tokens[:, :6]
    while written.shape[1] < PLACES:
        written = torch.cat([written, model(written)[:, -1].argmax(-1, keepdim=True)], 1)
    assert torch.equal(generate(model, tokens[:, :6]), written[:, 6:])
    assert len(written[:, 6:].unique()) > 3
    for alone in range(len(tokens)):
        assert torch.equal(generate(model, tokens[alone : alone + 1, :6])[0], written[alone, 6:])


def test_a_touched_pattern_changes_nothing(model: Decoder, tokens: Tensor) -> None:
    names = [f"blocks.{layer}.attn.pattern" for layer in range(2)]
    with record(model, names) as patterns:
        explicit = model(tokens)
    assert_close(explicit, model(tokens))
    for pattern in patterns.values():
        assert pattern.shape == (5, 4, PLACES, PLACES)
        assert (pattern.triu(1) == 0).all()
        if model.config.attention == "softmax":
            torch.testing.assert_close(pattern.sum(-1), torch.ones(5, 4, PLACES))


def test_linear_attention_is_its_formula(tokens: Tensor) -> None:
    """z_t = Σ_{s ≤ t} (q_t·k_s / √d_head) v_s, place by place."""
    model = make_decoder(LINEAR)
    attention = model.blocks[0].get_submodule("attn")
    x = torch.randn(2, 6, 32, generator=generator(4))
    q, k, v = attention.get_submodule("qkv")(x).unflatten(-1, (3, 4, 8)).unbind(2)  # [batch, pos, head, d_head]
    with record(attention, ["z"]) as found:
        attention(x)
    for b in range(2):
        for head in range(4):
            for t in range(6):
                z = torch.zeros(8)
                for s in range(t + 1):
                    z += (q[b, t, head] @ k[b, s, head] / 8**0.5) * v[b, s, head]
                torch.testing.assert_close(found["z"][b, t, head], z)


def test_every_activation_has_a_name(model: Decoder, tokens: Tensor) -> None:
    with record(model, "all") as found:
        model(tokens)
    assert list(found) == site_names(model)
    assert len(found) == 1 + 2 * 14
    hidden = found.stack("blocks.*.attn.scores").masked_select(torch.ones(PLACES, PLACES, dtype=torch.bool).triu(1))
    assert (hidden == (0 if model.config.attention == "linear" else -math.inf)).all()
    with replace_at(model, {"blocks.1.resid_post": torch.zeros_like}):
        assert_close(model(tokens)[0, 0], model.readout.weight @ model.final_norm.bias)
