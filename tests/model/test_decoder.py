"""The decoder is GPT-2: parity with the stock model, causality, the cache, linear attention."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from abruptlab.config import ModelConfig
from abruptlab.model.build import new_model
from abruptlab.model.decoder import Decoder
from abruptlab.model.generate import generate
from abruptlab.model.sites import record, site_names
from abruptlab.model.sites import replace as replace_at
from abruptlab.presets import preset
from abruptlab.task.matrices import generator

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
    names = {"token_embedding.weight": ("wte.weight", False), "position_embedding.weight": ("wpe.weight", False)}
    for kind in ("weight", "bias"):
        names[f"final_norm.{kind}"] = (f"ln_f.{kind}", False)
        for i in range(model.config.layers):
            for ours, theirs, matrix in (
                ("attn_norm", "ln_1", False),
                ("attn.qkv", "attn.c_attn", True),
                ("attn.output", "attn.c_proj", True),
                ("mlp_norm", "ln_2", False),
                ("mlp.input", "mlp.c_fc", True),
                ("mlp.output", "mlp.c_proj", True),
            ):
                names[f"blocks.{i}.{ours}.{kind}"] = (f"h.{i}.{theirs}.{kind}", matrix and kind == "weight")
    return names


def stock(model: Decoder) -> GPT2LMHeadModel:
    """GPT-2 of the transformers library, as it comes but for the sizes and dropout, with the decoder's weights."""
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
        )
    )
    weights = model.state_dict()
    renamed = {
        f"transformer.{theirs}": weights[ours].T if transposed else weights[ours]
        for ours, (theirs, transposed) in stock_names(model).items()
    }
    gpt.load_state_dict(renamed | {"lm_head.weight": weights["token_embedding.weight"]})
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
    theirs = dict(gpt.transformer.named_parameters())
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


def test_a_new_decoder_is_drawn_as_gpt2_is() -> None:
    model = Decoder(replace(SMALL, width=256, mlp_width=1024, init_std=0.05), 405, 99)
    model.initialise(generator(3))
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
    """405 ids and 99 places, which GPT-2 of 2 layers and width 256 makes 1.7 million parameters of."""
    model = new_model(preset("gpt"))
    assert isinstance(model, Decoder)
    assert model.token_embedding.num_embeddings == 405
    assert model.position_embedding.num_embeddings == 99
    width, layer = 256, 12 * 256**2 + 13 * 256
    assert sum(p.numel() for p in model.parameters()) == (405 + 99) * width + 2 * layer + 2 * width


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
    """z_t = (1/t) Σ_{s ≤ t} (q_t·k_s / √d_head) v_s, place by place."""
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
                    z += (q[b, t, head] @ k[b, s, head] / 8**0.5) * v[b, s, head] / (t + 1)
                torch.testing.assert_close(found["z"][b, t, head], z)


def test_every_activation_has_a_name(model: Decoder, tokens: Tensor) -> None:
    parts = ("attn.pattern", "attn.z", "resid_mid", "mlp.post", "resid_post")
    assert site_names(model) == ["embed", *(f"blocks.{layer}.{part}" for layer in range(2) for part in parts)]
    with replace_at(model, {"blocks.1.resid_post": torch.zeros_like}):
        assert_close(model(tokens)[0, 0], model.token_embedding.weight @ model.final_norm.bias)
