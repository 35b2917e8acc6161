from dataclasses import replace as replace_fields

import pytest
import torch
from torch import Tensor, nn

from abruptlab.errors import AbruptlabError, SiteError
from abruptlab.model.encoder import Attention, Encoder
from abruptlab.model.sites import Site, record, replace, site_names
from tests.conftest import SMALL, make_encoder

NAMES = [
    "embed",
    "blocks.0.attn.pattern",
    "blocks.0.attn.z",
    "blocks.0.mlp.post",
    "blocks.0.resid_mid",
    "blocks.0.resid_post",
    "blocks.1.attn.pattern",
    "blocks.1.attn.z",
    "blocks.1.mlp.post",
    "blocks.1.resid_mid",
    "blocks.1.resid_post",
]


class Doubler(nn.Module):
    """A module of somebody else that declares sites."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = Site(), Site()

    def forward(self, x: Tensor) -> Tensor:
        return self.after(2 * self.before(x))


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_names(encoder: Encoder):
    assert sorted(site_names(encoder)) == sorted(NAMES)
    assert site_names(Doubler()) == ["before", "after"]


def test_recorded_shapes(encoder: Encoder, tokens: Tensor):
    with record(encoder, NAMES) as activations:
        encoder(tokens)
    shapes = {name: tuple(activation.shape) for name, activation in activations.items()}
    layer = {
        "attn.pattern": (5, 4, 9, 9),
        "attn.z": (5, 9, 4, 8),
        "mlp.post": (5, 9, 64),
        "resid_mid": (5, 9, 32),
        "resid_post": (5, 9, 32),
    }
    expected = {f"blocks.{i}.{name}": shape for i in (0, 1) for name, shape in layer.items()}
    assert shapes == {"embed": (5, 9, 32)} | expected


def test_a_recorded_activation_is_what_flows(encoder: Encoder, tokens: Tensor):
    with record(encoder, ["blocks.0.resid_post", "blocks.1.resid_post", "blocks.0.attn.pattern"]) as activations:
        output = encoder(tokens)
    assert torch.equal(encoder.readout(activations["blocks.1.resid_post"]).squeeze(-1), output)
    with record(encoder, ["blocks.1.resid_post"]) as again:
        encoder.blocks[1](activations["blocks.0.resid_post"])
    torch.testing.assert_close(again["blocks.1.resid_post"], activations["blocks.1.resid_post"])
    torch.testing.assert_close(activations["blocks.0.attn.pattern"].sum(-1), torch.ones(5, 4, 9))


def test_a_second_pass_overwrites(encoder: Encoder, tokens: Tensor):
    with record(encoder, ["embed"]) as activations:
        encoder(tokens)
        encoder(tokens[:2])
    assert len(activations["embed"]) == 2


@pytest.mark.parametrize("head_width", [8, 64])  # narrow heads have an attention of their own on a CPU
def test_explicit_attention_agrees_with_the_fused(head_width: int, tokens: Tensor):
    """Outputs and gradients with the pattern of one layer, the other, and both computed explicitly."""
    encoder = make_encoder(replace_fields(SMALL, heads=2, width=2 * head_width)).double()
    plain = encoder(tokens)
    gradients = torch.autograd.grad(plain.square().sum(), list(encoder.parameters()))
    for names in (NAMES[1:2], NAMES[6:7], NAMES):
        with record(encoder, names) as activations:
            touched = encoder(tokens)
        torch.testing.assert_close(touched, plain, rtol=1e-9, atol=1e-9)
        touched_gradients = torch.autograd.grad(touched.square().sum(), list(encoder.parameters()))
        torch.testing.assert_close(touched_gradients, gradients, rtol=1e-9, atol=1e-9)
        pattern = activations[names[-1] if len(names) == 1 else NAMES[1]]
        assert pattern.std() > 1e-3  # far from uniform, so the agreement says something


def test_the_pattern_mixes_values_by_softmax_of_the_scores(encoder: Encoder, tokens: Tensor):
    """Against the definition, head by head and query by query."""
    attention = encoder.get_submodule("blocks.0.attn")
    assert isinstance(attention, Attention)
    with record(encoder, ["embed", "blocks.0.attn.pattern", "blocks.0.attn.z"]) as activations:
        encoder(tokens)
    query, key, value = (attention.qkv(activations["embed"]).split(32, -1)[i].unflatten(-1, (4, 8)) for i in range(3))
    batch, head, position = 3, 2, 7
    scores = torch.stack([query[batch, position, head] @ key[batch, other, head] for other in range(9)])
    pattern = (scores / 8**0.5).softmax(0)
    torch.testing.assert_close(activations["blocks.0.attn.pattern"][batch, head, position], pattern)
    torch.testing.assert_close(activations["blocks.0.attn.z"][batch, position, head], pattern @ value[batch, :, head])


def test_activations_keep_their_gradient(encoder: Encoder, tokens: Tensor):
    with record(encoder, ["blocks.0.attn.pattern"]) as activations:
        output = encoder(tokens)
    (gradient,) = torch.autograd.grad(output.sum(), activations["blocks.0.attn.pattern"])
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("name", NAMES)
def test_each_site_can_be_replaced(encoder: Encoder, tokens: Tensor, name: str):
    plain = encoder(tokens)
    with replace(encoder, {name: lambda activation: activation}):
        torch.testing.assert_close(encoder(tokens), plain)
    with replace(encoder, {name: torch.zeros_like}):
        assert (encoder(tokens) - plain).abs().max() > 1e-3
    assert torch.equal(encoder(tokens), plain)


def test_replacements_by_value():
    model, x = Doubler(), torch.tensor([1.0, 2.0])
    with replace(model, {"before": lambda a: a + 1, "after": lambda a: -a}), record(model, ["before", "after"]) as seen:
        assert model(x).tolist() == [-4.0, -6.0]
    assert seen["before"].tolist() == [2.0, 3.0]  # entered last, so it sees the replacement
    assert seen["after"].tolist() == [-4.0, -6.0]
    with record(model, ["after"]) as seen, replace(model, {"after": lambda a: -a}):
        assert model(x).tolist() == [-2.0, -4.0]
    assert seen["after"].tolist() == [2.0, 4.0]


@pytest.mark.parametrize("name", ["blocks.2.resid_post", "blocks.0.attn", "embed_norm", "", "Embed"])
def test_an_unknown_site_lists_the_valid_ones(encoder: Encoder, name: str):
    for use in (
        lambda: record(encoder, ["embed", name]),
        lambda: replace(encoder, {"embed": torch.neg, name: torch.neg}),
    ):
        with pytest.raises(SiteError) as caught, use():
            pass
        assert str(caught.value).startswith(f"no site {name!r}; this model has: embed, blocks.0.attn.pattern")
        assert all(valid in str(caught.value) for valid in NAMES)
        assert hooks(encoder) == 0  # not even of the site that exists
    assert isinstance(caught.value, AbruptlabError)


def test_a_model_without_sites():
    with pytest.raises(SiteError, match="this model has: none"), record(nn.Linear(1, 1), ["embed"]):
        pass


@pytest.mark.parametrize("name", ["embed", "blocks.1.attn.pattern"])
def test_a_replacement_of_another_shape(encoder: Encoder, tokens: Tensor, name: str):
    message = rf"site {name}: expected a replacement of shape \[5, .*\], got \[4, "
    with pytest.raises(SiteError, match=message), replace(encoder, {name: lambda a: a[1:]}):
        encoder(tokens)
    assert hooks(encoder) == 0


def test_hooks_go_when_the_block_is_left(encoder: Encoder, tokens: Tensor):
    pattern = encoder.get_submodule("blocks.0.attn.pattern")
    assert isinstance(pattern, Site)
    with record(encoder, NAMES), replace(encoder, {"embed": torch.neg}):
        assert pattern.touched
        assert hooks(encoder) == len(NAMES) + 1
    assert not pattern.touched
    assert hooks(encoder) == 0
    with pytest.raises(ZeroDivisionError), record(encoder, NAMES), replace(encoder, {"embed": lambda a: a / (1 // 0)}):
        encoder(tokens)
    assert hooks(encoder) == 0
