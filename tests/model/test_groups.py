from dataclasses import replace
from typing import Any

import pytest
import torch

from abruptlab.config import GROUP_NAMES, ModelConfig
from abruptlab.errors import ConfigError
from abruptlab.model.decoder import Decoder
from abruptlab.model.encoder import Encoder
from abruptlab.model.groups import GROUPS, SINGLE, parameters_of, transplant
from tests.conftest import make_encoder

DEEP = make_encoder(ModelConfig(layers=12, heads=1, width=8, mlp_width=8))
GPT = Decoder(
    ModelConfig(kind="decoder", layers=2, heads=1, width=8, mlp_width=8, mask_embedding="trained"), 20, positions=12
)


@pytest.mark.parametrize("model", [make_encoder(ModelConfig(layers=1, heads=1, width=8, mlp_width=8)), DEEP, GPT])
def test_every_parameter_belongs_to_exactly_one_single_group(model) -> None:
    grouped = [name for group in SINGLE for name in parameters_of(model, [group])]
    assert sorted(grouped) == sorted(name for name, _ in model.named_parameters())


def test_what_is_in_a_group() -> None:
    assert list(parameters_of(DEEP, ["positional-embeddings"])) == ["position_embedding.weight"]
    assert list(parameters_of(DEEP, ["read-out"])) == ["readout.weight", "readout.bias"]
    assert len(parameters_of(DEEP, ["attention-qkv"])) == len(parameters_of(DEEP, ["attention-output"])) == 24
    assert len(parameters_of(DEEP, ["mlp"])) == 48
    assert "blocks.11.attn.output.bias" in parameters_of(DEEP, ["attention-output"])
    norms = parameters_of(DEEP, ["layer-norms"])
    assert len(norms) == 50
    assert all("norm" in name for name in norms)
    assert norms["embed_norm.bias"] is DEEP.embed_norm.bias


def test_combinations_are_unions() -> None:
    everything = dict(DEEP.named_parameters()).keys()
    qkv = parameters_of(DEEP, ["attention-qkv"]).keys()
    output = parameters_of(DEEP, ["attention-output"]).keys()
    assert parameters_of(DEEP, ["attention"]).keys() == qkv | output
    assert list(parameters_of(DEEP, ["embeddings"])) == [
        "token_embedding.weight",
        "position_embedding.weight",
        "embed_norm.weight",
        "embed_norm.bias",
    ]
    behind = {name for name in everything if ".attn_norm." in name}
    assert len(behind) == 24
    assert parameters_of(DEEP, ["not-attention"]).keys() == everything - qkv - output - behind
    assert parameters_of(DEEP, ["all-but-qkv"]).keys() == everything - qkv
    outside = parameters_of(DEEP, ["token-embeddings", "positional-embeddings", "read-out"]).keys()
    assert parameters_of(DEEP, ["layers-but-qkv"]).keys() == everything - qkv - outside
    assert list(parameters_of(DEEP, ["mlp", "all-but-qkv", "attention"])) == list(everything)


def test_a_configuration_knows_the_same_names() -> None:
    assert tuple(GROUPS) == GROUP_NAMES


def test_an_unknown_group_is_an_error_that_lists_them() -> None:
    with pytest.raises(ConfigError, match="no group of parameters 'heads'; there are: " + ", ".join(GROUPS)):
        parameters_of(DEEP, ["mlp", "heads"])


def test_a_transplant_takes_the_named_parameters_and_no_other() -> None:
    fresh, finished = make_encoder(DEEP.config), make_encoder(DEEP.config)
    with torch.no_grad():
        for parameter in finished.parameters():
            parameter += 1
    start = {name: parameter.clone() for name, parameter in fresh.named_parameters()}
    taken = parameters_of(DEEP, ["mlp", "read-out"])
    transplant(fresh, finished, taken)
    for name, parameter in fresh.named_parameters():
        assert parameter.requires_grad
        assert torch.equal(parameter, finished.get_parameter(name) if name in taken else start[name]), name


def test_what_no_size_shows_must_be_the_same_too() -> None:
    def encoder(**changes: Any) -> Encoder:
        return make_encoder(replace(ModelConfig(layers=1, heads=2, width=8, mlp_width=8), **changes))

    ours = encoder()
    with pytest.raises(ConfigError, match="expected a run whose model has 2 heads, as this one, got 4"):
        transplant(ours, encoder(heads=4), parameters_of(ours, ["attention"]))
    transplant(ours, encoder(heads=4), parameters_of(ours, ["mlp"]))
    trained = encoder(mask_embedding="trained")
    with pytest.raises(ConfigError, match="expected a run whose mask_embedding is zero, as here, got trained"):
        transplant(ours, trained, parameters_of(ours, ["embeddings"]))
    transplant(trained, ours, parameters_of(ours, ["embeddings"]))


def test_a_transplant_needs_equal_sizes() -> None:
    small = make_encoder(ModelConfig(layers=1, heads=1, width=8, mlp_width=8))
    size = r"blocks.1.attn.qkv.weight is not there, got \[24, 8\]"
    with pytest.raises(ConfigError, match=f"expected a run whose model has the sizes of this one, whose {size}"):
        transplant(small, DEEP, parameters_of(DEEP, ["mlp"]))
