import math
from dataclasses import replace as replace_fields
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from abruptlab.errors import AbruptlabError, SiteError
from abruptlab.model.decoder import Decoder
from abruptlab.model.encoder import Block, Encoder
from abruptlab.model.layers import Attention
from abruptlab.model.sites import Site, record, record_shapes, replace, site_names, site_table
from tests.conftest import SMALL, make_encoder
from tests.forks import unchecked

LAYER = {  # of SMALL, for five matrices of nine entries
    "resid_pre": (5, 9, 32),
    "attn.q": (5, 9, 4, 8),
    "attn.k": (5, 9, 4, 8),
    "attn.v": (5, 9, 4, 8),
    "attn.scores": (5, 4, 9, 9),
    "attn.pattern": (5, 4, 9, 9),
    "attn.z": (5, 9, 4, 8),
    "attn.result": (5, 9, 4, 32),
    "attn.out": (5, 9, 32),
    "resid_mid": (5, 9, 32),
    "mlp.pre": (5, 9, 64),
    "mlp.post": (5, 9, 64),
    "mlp.out": (5, 9, 32),
    "resid_post": (5, 9, 32),
}
SHAPES = {"embed": (5, 9, 32)} | {f"blocks.{i}.{name}": shape for i in (0, 1) for name, shape in LAYER.items()}
NAMES = list(SHAPES)


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
    with record(encoder, "all") as activations:
        encoder(tokens)
    assert {name: tuple(activation.shape) for name, activation in activations.items()} == SHAPES
    assert list(activations) == NAMES  # in the order of the forward pass


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
    patterns = ["blocks.0.attn.pattern", "blocks.1.attn.pattern"]
    for names in (patterns[:1], patterns[1:], NAMES, ["blocks.0.attn.q"], ["blocks.1.attn.result"]):
        with record(encoder, names) as activations:
            touched = encoder(tokens)
        torch.testing.assert_close(touched, plain, rtol=1e-9, atol=1e-9)
        touched_gradients = torch.autograd.grad(touched.square().sum(), list(encoder.parameters()))
        torch.testing.assert_close(touched_gradients, gradients, rtol=1e-9, atol=1e-9)
        if patterns[0] in names:
            assert activations[patterns[0]].std() > 1e-3  # far from uniform, so the agreement says something


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
        said = str(caught.value)
        assert said.startswith(f"no site {name!r}; this model has: embed, blocks.{{0-1}}.resid_pre, ")
        assert all(f"blocks.{{0-1}}.{valid}" in said for valid in LAYER)
        assert hooks(encoder) == 0  # not even of the site that exists
    assert isinstance(caught.value, AbruptlabError)


def test_what_was_not_recorded_is_named_with_what_was(encoder: Encoder, tokens: Tensor):
    with torch.no_grad(), record(encoder, ["embed", "blocks.*.mlp.post"]) as activations:
        encoder(tokens)
    there = r"there are: embed, blocks.\{0-1\}.mlp.post"
    with pytest.raises(SiteError, match=f"no recorded site is named 'blocks.9'; {there}"):
        activations["blocks.9"]
    with pytest.raises(KeyError, match="globs are for `stack`"):
        activations["blocks.*.mlp.post"]
    assert activations.get("blocks.9") is None
    assert repr(activations).splitlines() == [
        "Activations",
        f"  embed              float32 {[*activations['embed'].shape]}",
        *(f"  blocks.{i}.mlp.post  float32 {[*activations['blocks.0.mlp.post'].shape]}" for i in (0, 1)),
    ]


def test_layers_that_were_left_out_are_not_listed(tokens: Tensor):
    model = make_encoder(replace_fields(SMALL, layers=4))
    with torch.no_grad(), record(model, [f"blocks.{layer}.mlp.post" for layer in (0, 2, 3)]) as activations:
        model(tokens)
    with pytest.raises(SiteError, match=r"there are: blocks.\{0,2-3\}.mlp.post$"):
        activations["blocks.1.mlp.post"]


def test_a_function_may_change_its_activation_in_place(encoder: Encoder, tokens: Tensor):
    def silence(x: Tensor) -> Tensor:
        x[:, 0] = 0
        return x

    names = ["blocks.0.resid_post", "blocks.1.resid_pre"]
    with torch.no_grad(), record(encoder, names) as plain:
        encoder(tokens)
    with torch.no_grad(), record(encoder, names) as outside, replace(encoder, {"blocks.1.resid_pre": silence}):
        changed = encoder(tokens)
    assert all(torch.equal(outside[name], plain[name]) for name in names)
    assert not torch.equal(changed, encoder(tokens))


def test_a_model_without_sites():
    with pytest.raises(SiteError, match="this model has: none"), record(nn.Linear(1, 1), ["embed"]):
        pass


@pytest.mark.parametrize("name", ["embed", "blocks.1.attn.pattern"])
def test_a_replacement_of_another_shape(encoder: Encoder, tokens: Tensor, name: str):
    message = rf"site {name}: expected a replacement that is float32 \[5, .*\], got float32 \[4, "
    with pytest.raises(SiteError, match=message), replace(encoder, {name: lambda a: a[1:]}):
        encoder(tokens)
    assert hooks(encoder) == 0


def test_hooks_go_when_the_block_is_left(encoder: Encoder, tokens: Tensor):
    pattern = encoder.get_submodule("blocks.0.attn.pattern")
    assert isinstance(pattern, Site)
    with record(encoder, NAMES), replace(encoder, {"embed": torch.neg}):
        encoder(tokens)
        assert pattern.touched
        assert hooks(encoder) == len(NAMES) + 1
    assert not pattern.touched
    assert hooks(encoder) == 0
    with pytest.raises(ZeroDivisionError), record(encoder, NAMES), replace(encoder, {"embed": lambda a: a / (1 // 0)}):
        encoder(tokens)
    assert hooks(encoder) == 0


def test_the_sites_of_a_layer_fit_together(encoder: Encoder, tokens: Tensor):
    """Each is what its table says it is, computed from the others by its definition."""
    with record(encoder, "all") as found:
        encoder(tokens)
    block = encoder.blocks[1]
    assert isinstance(block, Block)
    at = {name: found[f"blocks.1.{name}"] for name in LAYER}
    close = torch.testing.assert_close
    assert torch.equal(at["resid_pre"], found["blocks.0.resid_post"])
    for name, part in zip("qkv", block.attn.qkv(at["resid_pre"]).chunk(3, -1), strict=True):
        close(at[f"attn.{name}"].flatten(2), part)
    q, k, v = (at[f"attn.{name}"].transpose(1, 2) for name in "qkv")
    close(at["attn.scores"], q @ k.mT / 8**0.5)
    close(at["attn.pattern"], at["attn.scores"].softmax(-1))
    close(at["attn.z"], (at["attn.pattern"] @ v).transpose(1, 2))
    for head in range(4):
        weight = block.attn.output.weight[:, 8 * head : 8 * head + 8]
        close(at["attn.result"][:, :, head], at["attn.z"][:, :, head] @ weight.T)
    close(at["attn.out"], at["attn.result"].sum(2) + block.attn.output.bias)
    close(at["resid_mid"], block.attn_norm(at["resid_pre"] + at["attn.out"]))
    close(at["mlp.pre"], block.mlp.input(at["resid_mid"]))
    close(at["mlp.post"], torch.nn.functional.gelu(at["mlp.pre"]))
    close(at["mlp.out"], block.mlp.output(at["mlp.post"]))
    close(at["resid_post"], block.mlp_norm(at["resid_mid"] + at["mlp.out"]))


def test_a_replaced_part_goes_on_into_what_follows(encoder: Encoder, tokens: Tensor):
    """Scores that are all one make a uniform pattern; a head without a result is a head whose output is zero."""

    def without_second(x: Tensor) -> Tensor:
        x = x.clone()
        x[:, :, 1] = 0
        return x

    with replace(encoder, {"blocks.0.attn.scores": torch.ones_like}), record(encoder, "blocks.0.attn.pattern") as seen:
        encoder(tokens)
    torch.testing.assert_close(seen["blocks.0.attn.pattern"], torch.full((5, 4, 9, 9), 1 / 9))
    outputs = []
    for site in ("z", "result"):
        with replace(encoder, {f"blocks.0.attn.{site}": without_second}):
            outputs.append(encoder(tokens))
    torch.testing.assert_close(*outputs)
    assert (outputs[0] - encoder(tokens)).abs().max() > 1e-3


def test_globs_and_the_stack(encoder: Encoder, tokens: Tensor):
    with record(encoder, ["blocks.*.attn.pattern", "embed"]) as activations:
        encoder(tokens)
    assert list(activations) == ["embed", "blocks.0.attn.pattern", "blocks.1.attn.pattern"]
    stacked = activations.stack("blocks.*.attn.pattern")
    assert stacked.shape == (2, 5, 4, 9, 9)
    assert torch.equal(stacked[1], activations["blocks.1.attn.pattern"])
    with pytest.raises(SiteError, match=r"no recorded site is named '\*.z'; there are: embed, blocks"):
        activations.stack("*.z")
    with pytest.raises(SiteError, match=r"expected sites of one shape, got embed \[5, 9, 32\], blocks.0"):
        activations.stack("*")
    with pytest.raises(SiteError, match=r"no site 'blocks.\*.attn.patterns'; this model has"):
        encoder(record(encoder, "blocks.*.attn.patterns").__enter__())
    with replace(encoder, {"blocks.*.attn.z": torch.zeros_like}), record(encoder, "*.attn.result") as seen:
        encoder(tokens)
    assert list(seen) == ["blocks.0.attn.result", "blocks.1.attn.result"]
    assert all((each == 0).all() for each in seen.values())


def test_a_name_alone_is_one_name(encoder: Encoder, tokens: Tensor):
    with record(encoder, "blocks.1.mlp.out") as activations:
        encoder(tokens)
    assert list(activations) == ["blocks.1.mlp.out"]


def test_memory_is_told_beforehand(encoder: Encoder, tokens: Tensor):
    told = record_shapes(encoder, "all", tokens)
    with record(encoder, "all") as activations:
        encoder(tokens)
    assert told.nbytes == activations.nbytes == 4 * sum(math.prod(shape) for shape in SHAPES.values())
    assert {name: tuple(each.shape) for name, each in told.items()} == SHAPES
    assert all(each.is_meta for each in told.values())
    assert all(parameter.device.type == "cpu" for parameter in encoder.parameters())
    decoder = Decoder(replace_fields(SMALL, kind="decoder", mask_embedding="trained"), 20, 9)
    assert record_shapes(decoder, "blocks.0.attn.scores", tokens % 20)["blocks.0.attn.scores"].shape == (5, 4, 9, 9)


UNCHECKED = """
import torch
from abruptlab import Encoder, ModelConfig, record, replace
from abruptlab.errors import AbruptlabError

def said(functions):
    try:
        with replace(encoder, functions):
            print("not refused")
    except AbruptlabError as error:
        print(error)

encoder = Encoder(ModelConfig(layers=2, heads=4, width=32, mlp_width=64), 20, 9)
encoder.initialise(torch.Generator().manual_seed(0))
tokens = torch.arange(18).view(2, 9)
said({"embed": None})
said({"embed": torch.zeros(2)})
said("embed")
said({"embed": torch.neg, "emb*": torch.neg})
plain = encoder(tokens)
for modules in (encoder.blocks, [encoder]):
    for module in modules:
        module.compile(backend="eager")
    torch.testing.assert_close(encoder(tokens), plain)
    with record(encoder, "all") as activations:
        encoder(tokens)
    assert len(activations) == 29, list(activations)
    with replace(encoder, {"blocks.1.attn.pattern": torch.zeros_like}):
        assert (encoder(tokens) - plain).abs().max() > 1e-4
    torch.testing.assert_close(encoder(tokens), plain)
print("compiled")
"""


def test_compiled_models_and_what_is_no_replacement():
    """In a process of its own: the checks of types that run with the tests can't be compiled, and would speak first."""
    assert unchecked(UNCHECKED).splitlines() == [
        "site embed: expected a function of one argument, the activation, got NoneType",
        "site embed: expected a function of one argument, the activation, got Tensor",
        "functions: expected a dictionary from str to a function, got 'embed'",
        "site embed: expected one function, got several (a glob names it too)",
        "compiled",
    ]


def test_a_function_that_gives_no_tensor(encoder: Encoder, tokens: Tensor):
    message = r"site embed: expected a replacement that is float32 \[5, 9, 32\], got None"
    with pytest.raises(SiteError, match=message), replace(encoder, {"embed": lambda activation: None}):  # pyright: ignore[reportArgumentType]
        encoder(tokens)


@pytest.mark.parametrize("use", [record, lambda model, name: replace(model, {name: torch.neg})])
def test_a_site_that_is_asked_for_and_not_reached_is_an_error(encoder: Encoder, tokens: Tensor, use):
    message = r"no forward pass inside the block has reached the site blocks\.1\.attn\.z"
    with pytest.raises(SiteError, match=message), use(encoder, "blocks.1.attn.z"):
        encoder.blocks[0](torch.zeros(1, 9, 32))
    with pytest.raises(ZeroDivisionError), use(encoder, "embed"):  # what went wrong first is what is said
        raise ZeroDivisionError


def test_hooks_of_every_kind_are_heard(encoder: Encoder, tokens: Tensor):
    """PyTorch's own, on a site that is computed only where it is touched."""
    site, heard = encoder.get_submodule("blocks.0.attn.pattern"), []
    for kind in ("forward", "forward_pre", "full_backward", "full_backward_pre"):
        handle = getattr(site, f"register_{kind}_hook")(lambda *_, kind=kind: heard.append(kind))
        encoder(tokens).sum().backward()
        handle.remove()
    assert heard == ["forward", "forward_pre", "full_backward", "full_backward_pre"]


def test_the_documents_have_the_table_of_sites(encoder: Encoder):
    text = (Path(__file__).parents[2] / "docs/models.md").read_text(encoding="utf-8")
    decoder = Decoder(replace_fields(SMALL, kind="decoder", mask_embedding="trained"), 20, 9)
    rows = site_table(encoder)
    rows += [row for row in site_table(decoder) if row not in rows]
    assert [line for line in text.splitlines() if line.startswith("| `blocks") or line.startswith("| `embed")] == [
        f"| `{row.name}` | {row.shape} | {row.meaning} | {row.elsewhere} |" for row in rows
    ]
