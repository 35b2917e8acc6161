"""To and from Hugging Face's `BertModel`, and from the checkpoints of the paper's authors.

The encoder *is* a stock BERT without dropout, pooler and token types; the table of names below is all that lies
between the two. The tests hold outputs, gradients and optimiser steps of both together.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from abruptlab.config import ModelConfig
from abruptlab.errors import AbruptlabError, CheckpointError, ConfigError, RunError
from abruptlab.model.encoder import LAYER_NORM_EPS, Encoder
from abruptlab.task.vocabulary import MASK

if TYPE_CHECKING:
    import transformers

READOUT_FILE = "readout.safetensors"  # beside the files that transformers writes

_TOKEN_TYPES = "embeddings.token_type_embeddings.weight"
_UNUSED = ("embeddings.position_ids", "embeddings.token_type_ids", "pooler.")  # take no part in the output
_STOCK_MODULES = {  # ours → BertModel's; where there are several, ours holds their rows in this order
    "token_embedding": ["embeddings.word_embeddings"],
    "position_embedding": ["embeddings.position_embeddings"],
    "embed_norm": ["embeddings.LayerNorm"],
    "attn.qkv": ["attention.self.query", "attention.self.key", "attention.self.value"],
    "attn.output": ["attention.output.dense"],
    "attn_norm": ["attention.output.LayerNorm"],
    "mlp.input": ["intermediate.dense"],
    "mlp.output": ["output.dense"],
    "mlp_norm": ["output.LayerNorm"],
    "readout": ["readout"],  # BERT has none: the name is ours
}


def to_huggingface(encoder: Encoder) -> tuple["transformers.BertModel", nn.Linear]:
    """A stock `BertModel` with a copy of the encoder's weights, and the read-out that goes on its last hidden state.

    `readout(bert(tokens).last_hidden_state).squeeze(-1)` is `encoder(tokens)`. The one token type is zero.

    Raises `AbruptlabError` if transformers is not installed, and `ConfigError` for positional embeddings that BERT does
    not have.
    """
    transformers = _transformers()
    config = encoder.config
    if config.positions != "free":
        raise ConfigError(f"BERT has free positional embeddings, not {config.positions}")
    bert = transformers.BertModel(
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
        ),
        add_pooling_layer=False,
    )
    readout = nn.Linear(config.width, 1)
    weights = _stock_views(encoder)
    for module in (bert, readout):
        module.to(device=encoder.readout.weight.device, dtype=encoder.readout.weight.dtype)
    readout.load_state_dict({name: weights.pop(f"readout.{name}") for name in ("weight", "bias")})
    bert.load_state_dict(weights)
    return bert, readout


def from_huggingface(bert: "transformers.PreTrainedModel", readout: nn.Linear) -> Encoder:
    """The encoder with a copy of the weights of a `BertModel` and of a read-out from its width to one number.

    Token type 0, which stands at every position unless others are asked for, becomes part of the position embeddings.
    Left behind is what takes no part in the output: further token types, the pooler, and dropout.

    Raises `ConfigError` for a model that the encoder cannot be, and `AbruptlabError` if transformers is not installed.
    """
    transformers = _transformers()
    if not isinstance(bert, transformers.BertModel):
        raise ConfigError(f"bert: expected a BertModel, got {type(bert).__name__}")
    return _from_bert(bert, readout.state_dict())


def save_pretrained(encoder: Encoder, folder: Path | str) -> None:
    """Write a folder that `BertModel.from_pretrained` and `load_huggingface` read; the read-out has its own file in it.

    Raises `RunError` if it cannot be written, and `AbruptlabError` if transformers is not installed.
    """
    bert, readout = to_huggingface(encoder)
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        bert.save_pretrained(folder)
        save_file(readout.state_dict(), folder / READOUT_FILE)
    except (OSError, SafetensorError) as error:
        raise RunError(f"cannot write {folder}: {_first_line(error)}") from None


def load_huggingface(folder: Path | str) -> Encoder:
    """Read a folder written by `save_pretrained`.

    Raises `CheckpointError` if it is not such a folder or lacks a weight, `ConfigError` as `from_huggingface`, and
    `AbruptlabError` if transformers is not installed.
    """
    transformers = _transformers()
    folder = Path(folder)
    if not (folder / READOUT_FILE).is_file():  # asked first, for from_pretrained looks for a missing folder online
        raise CheckpointError(f"{folder}: expected a folder written by save_pretrained, found no {READOUT_FILE} in it")
    try:
        bert, info = transformers.BertModel.from_pretrained(
            folder, add_pooling_layer=False, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
        readout = load_file(folder / READOUT_FILE)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"cannot read {folder}: {_first_line(error)}") from None
    if info["missing_keys"]:  # from_pretrained has drawn them at random
        raise CheckpointError(f"{folder} lacks the weight {min(info['missing_keys'])}")
    return _from_bert(bert, readout)


def load_authors_checkpoint(path: Path | str, heads: int = 8) -> Encoder:
    """Read a `.tar` checkpoint of the authors' code: a dictionary saved by PyTorch whose `model` holds the weights.

    The file does not say how many attention heads there are, so `heads` must; the paper has 8. Nothing but tensors and
    plain values is ever unpickled.

    Raises `CheckpointError` if the file is not such a checkpoint, or its width is not a multiple of `heads`.
    """
    weights, _ = read_authors_checkpoint(path)
    try:
        return _encoder(weights, heads)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None


def read_authors_checkpoint(path: Path | str) -> tuple[dict[str, Tensor], int | None]:
    """The weights of a checkpoint of the authors' code under BertModel's names (and `readout`), and its `epoch`, which
    they count from 0; None if it has none.

    Raises `CheckpointError` if the file is not such a checkpoint.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
    try:
        checkpoint = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no checkpoint make torch.load raise almost anything
        kind = type(error).__name__
        raise CheckpointError(f"{path} is not a checkpoint of weights, or is truncated ({kind})") from None
    model = checkpoint.get("model") if isinstance(checkpoint, dict) else None
    if not isinstance(model, dict) or not all(isinstance(k, str) and isinstance(w, Tensor) for k, w in model.items()):
        raise CheckpointError(f"{path}: expected a dictionary with the model's weights under 'model'")
    epoch = checkpoint.get("epoch")
    return (
        {name.removeprefix("_backbone.").replace("read_out.", "readout."): w for name, w in model.items()},
        epoch if isinstance(epoch, int) else None,
    )


def _transformers() -> ModuleType:
    try:
        import transformers
    except ImportError:
        raise AbruptlabError("this needs transformers: pip install abruptlab[huggingface]") from None
    return transformers


def _first_line(error: Exception) -> str:
    """transformers explains itself over many lines."""
    return str(error).strip().partition("\n")[0]


def _stock_views(encoder: Encoder, token_types: int = 1) -> dict[str, Tensor]:
    """The encoder's weights under BertModel's names, plus zeroed token types, which it lacks.

    They are views: to write to them is to write to the encoder.
    """
    views = {_TOKEN_TYPES: encoder.readout.weight.new_zeros(token_types, encoder.config.width)}
    for name, weight in encoder.state_dict().items():
        module, _, kind = name.rpartition(".")
        prefix = ""
        if module.startswith("blocks."):
            _, layer, module = module.split(".", 2)
            prefix = f"encoder.layer.{layer}."
        stock = _STOCK_MODULES[module]
        views |= {f"{prefix}{s}.{kind}": part for s, part in zip(stock, weight.chunk(len(stock)), strict=True)}
    return views


def _from_bert(bert: "transformers.PreTrainedModel", readout: Mapping[str, Tensor]) -> Encoder:
    for name, expected in {
        "hidden_act": "gelu",
        "layer_norm_eps": LAYER_NORM_EPS,
        "position_embedding_type": "absolute",
        "is_decoder": False,
        "add_cross_attention": False,
    }.items():
        came = getattr(bert.config, name, expected)  # newer releases have no relative positions to configure
        if came != expected:
            raise ConfigError(f"{name}: expected {expected!r}, got {came!r}")
    weights = bert.state_dict() | {f"readout.{name}": weight for name, weight in readout.items()}
    return _encoder(weights, bert.config.num_attention_heads, bert.config.initializer_range)


def _encoder(weights: Mapping[str, Tensor], heads: int, init_std: float = ModelConfig.init_std) -> Encoder:
    """The encoder of weights with BertModel's names and `readout`. Raises `ConfigError` if they make none."""
    weights = {name: weight for name, weight in weights.items() if not name.startswith(_UNUSED)}
    words = _matrix(weights, "embeddings.word_embeddings.weight")
    weights.setdefault(_TOKEN_TYPES, words.new_zeros(1, words.shape[1]))
    config = ModelConfig(
        layers=len({name.split(".")[2] for name in weights if name.startswith("encoder.layer.")}),
        heads=heads,
        width=words.shape[1],
        mlp_width=len(_matrix(weights, "encoder.layer.0.intermediate.dense.weight")),
        init_std=init_std,
        mask_embedding="trained" if words[MASK].any() else "zero",
    )
    positions = len(_matrix(weights, "embeddings.position_embeddings.weight"))
    encoder = Encoder(config, len(words), positions).to(words)
    views = _stock_views(encoder, len(_matrix(weights, _TOKEN_TYPES)))
    for name in sorted(views.keys() | weights.keys()):
        expected, came = (list(side[name].shape) if name in side else "no such weight" for side in (views, weights))
        if expected != came:
            raise ConfigError(f"{name}: expected {expected}, got {came}")
        views[name].copy_(weights[name])
    views["embeddings.position_embeddings.weight"] += views[_TOKEN_TYPES][0]
    return encoder


def _matrix(weights: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in weights:
        raise ConfigError(f"{name}: expected a matrix, got no such weight")
    weight = weights[name]
    if weight.ndim != 2 or not weight.numel() or not weight.is_floating_point():
        raise ConfigError(f"{name}: expected a matrix of floats, got {list(weight.shape)} of {weight.dtype}")
    return weight
