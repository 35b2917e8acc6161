"""The encoder as Hugging Face's `BertForTokenClassification` with one label, whose logit is the value, and back.

The encoder *is* that model without dropout and token types; the table of names below is all that lies between the two.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from torch import Tensor, nn

from abruptlab.arguments import require
from abruptlab.config import ModelConfig
from abruptlab.errors import ConfigError
from abruptlab.model.encoder import LAYER_NORM_EPS, Encoder
from abruptlab.task.vocabulary import MASK

if TYPE_CHECKING:
    import transformers

_TOKEN_TYPES = "bert.embeddings.token_type_embeddings.weight"
_POSITIONS = "bert.embeddings.position_embeddings.weight"
_UNUSED = ("bert.embeddings.position_ids", "bert.embeddings.token_type_ids", "bert.pooler.")  # not in the output
_STOCK_MODULES = {  # ours → BERT's; where there are several, ours holds their rows in this order
    "token_embedding": ["bert.embeddings.word_embeddings"],
    "position_embedding": ["bert.embeddings.position_embeddings"],
    "embed_norm": ["bert.embeddings.LayerNorm"],
    "attn.qkv": ["attention.self.query", "attention.self.key", "attention.self.value"],
    "attn.output": ["attention.output.dense"],
    "attn_norm": ["attention.output.LayerNorm"],
    "mlp.input": ["intermediate.dense"],
    "mlp.output": ["output.dense"],
    "mlp_norm": ["output.LayerNorm"],
    "readout": ["classifier"],
}


def stock_bert(encoder: Encoder, transformers: ModuleType) -> "transformers.BertForTokenClassification":
    """The stock model with a copy of the encoder's weights; its one token type is zero.

    Raises `ConfigError` for positional embeddings that BERT does not have.
    """
    config = encoder.config
    if config.positions != "free":
        raise ConfigError(f"BERT has free positional embeddings, not {config.positions}")
    bert = transformers.BertForTokenClassification(
        transformers.BertConfig(
            vocab_size=encoder.token_embedding.num_embeddings,
            max_position_embeddings=encoder.position_embedding.num_embeddings,
            hidden_size=config.width,
            intermediate_size=config.mlp_width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            initializer_range=config.init_std,
            layer_norm_eps=LAYER_NORM_EPS,
            hidden_act="gelu",
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            type_vocab_size=1,
            pad_token_id=MASK if config.mask_embedding == "zero" else None,
            id2label={0: "value"},
            label2id={"value": 0},
        )
    )
    bert.to(device=encoder.readout.weight.device, dtype=encoder.readout.weight.dtype)
    bert.load_state_dict(_views(encoder))
    return bert.eval()


def encoder_of_bert(bert: "transformers.PreTrainedModel") -> Encoder:
    """The encoder with a copy of the weights of a `BertForTokenClassification`.

    Token type 0, which stands at every position unless others are asked for, becomes part of the position embeddings.
    Left behind is what takes no part in the output: further token types, and dropout.

    Raises `ConfigError` for a model that the encoder cannot be.
    """
    require_config(
        bert.config,
        {
            "hidden_act": "gelu",
            "layer_norm_eps": LAYER_NORM_EPS,
            "position_embedding_type": "absolute",
            "is_decoder": False,
            "add_cross_attention": False,
        },
    )
    return encoder_of(bert.state_dict(), bert.config.num_attention_heads, bert.config.initializer_range)


def encoder_of(weights: Mapping[str, Tensor], heads: int, init_std: float = ModelConfig.init_std) -> Encoder:
    """The encoder of weights with the stock model's names. Raises `ConfigError` if they make none."""
    weights = {name: weight for name, weight in weights.items() if not name.startswith(_UNUSED)}
    words = matrix_of(weights, "bert.embeddings.word_embeddings.weight")
    weights.setdefault(_TOKEN_TYPES, words.new_zeros(1, words.shape[1]))
    config = ModelConfig(
        layers=len({name.split(".")[3] for name in weights if name.startswith("bert.encoder.layer.")}),
        heads=heads,
        width=words.shape[1],
        mlp_width=len(matrix_of(weights, "bert.encoder.layer.0.intermediate.dense.weight")),
        init_std=init_std,
        mask_embedding="trained" if words[MASK].any() else "zero",
    )
    encoder = Encoder(config, len(words), len(matrix_of(weights, _POSITIONS))).to(words)
    views = _views(encoder, len(matrix_of(weights, _TOKEN_TYPES)))
    copy_weights(weights, views)
    views[_POSITIONS] += views[_TOKEN_TYPES][0]
    return encoder


def copy_weights(weights: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> None:
    """Copy weights into those of the same names. Raises `ConfigError` if a name or shape differs."""
    for name in sorted(into.keys() | weights.keys()):
        expected, given = (list(side[name].shape) if name in side else "no such weight" for side in (into, weights))
        require(expected == given, name, f"{expected}", given)
        into[name].copy_(weights[name])


def require_config(config: "transformers.PretrainedConfig", expected: Mapping[str, object]) -> None:
    """Raises `ConfigError` unless these fields are as expected; a release that lacks one has nothing to configure."""
    for name, value in expected.items():
        given = getattr(config, name, value)
        require(given == value, name, repr(value), repr(given))


def matrix_of(weights: Mapping[str, Tensor], name: str) -> Tensor:
    """A weight that has to be there. Raises `ConfigError` unless it is a matrix."""
    require(name in weights, name, "a matrix", "no such weight")
    weight = weights[name]
    if weight.ndim != 2 or not weight.numel() or not weight.is_floating_point():
        raise ConfigError(f"{name}: expected a matrix of floats, got {list(weight.shape)} of {weight.dtype}")
    return weight


def stock_views(model: nn.Module, modules: Mapping[str, Sequence[str]], layers: str) -> dict[str, Tensor]:
    """A model's weights under the names of a stock one, whose `layers` are called so and whose modules `modules` names.

    They are views: to write to them is to write to the model.
    """
    views = {}
    for name, weight in model.state_dict().items():
        module, _, kind = name.rpartition(".")
        prefix = ""
        if module.startswith("blocks."):
            _, layer, module = module.split(".", 2)
            prefix = f"{layers}.{layer}."
        stock = modules[module]
        views |= {f"{prefix}{s}.{kind}": part for s, part in zip(stock, weight.chunk(len(stock)), strict=True)}
    return views


def _views(encoder: Encoder, token_types: int = 1) -> dict[str, Tensor]:
    """`stock_views` of an encoder, plus zeroed token types, which it lacks."""
    zeros = encoder.readout.weight.new_zeros(token_types, encoder.config.width)
    return {_TOKEN_TYPES: zeros, **stock_views(encoder, _STOCK_MODULES, "bert.encoder.layer")}
