"""To and from Hugging Face's `transformers`, and from the checkpoints of the paper's authors.

An encoder is a stock BERT, a decoder a stock GPT-2 (`model.bert`, `model.gpt2`): the tests hold outputs and gradients
of ours and theirs together, and optimiser steps.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, overload

import torch
from safetensors import SafetensorError
from torch import Tensor

from abruptlab.arguments import checked
from abruptlab.errors import AbruptlabError, CheckpointError, ConfigError, RunError
from abruptlab.model.bert import encoder_of, encoder_of_bert, stock_bert
from abruptlab.model.build import Model
from abruptlab.model.decoder import Decoder
from abruptlab.model.encoder import Encoder
from abruptlab.model.gpt2 import decoder_of_gpt2, stock_gpt2

if TYPE_CHECKING:
    import transformers

ABOUT = "abruptlab"  # the key in config.json of what `save_pretrained` is told about the model


@overload
def to_huggingface(model: Encoder) -> "transformers.BertForTokenClassification": ...
@overload
def to_huggingface(model: Decoder) -> "transformers.GPT2LMHeadModel": ...
@checked
def to_huggingface(model: Model) -> "transformers.PreTrainedModel":
    """The stock model with a copy of the weights: a BERT for an encoder, a GPT-2 for a decoder, in evaluation mode.

    Its `(tokens).logits` are `model(tokens)`; BERT's have a last dimension of 1, for the one label, which is the value.

    Raises `AbruptlabError` if transformers is not installed, and `ConfigError` for what the stock model does not have:
    positional embeddings of rows and columns, linear attention, or layers of another kind.
    """
    if type(model) is Encoder:  # not what is derived from it, whose layers may compute something else
        return stock_bert(model, _transformers())
    if type(model) is Decoder:
        return stock_gpt2(model, _transformers())
    raise ConfigError(f"expected an Encoder or a Decoder, which stock models can be, got a {type(model).__name__}")


def from_huggingface(model: "transformers.PreTrainedModel") -> Model:
    """The encoder of a `BertForTokenClassification` with one label, or the decoder of a `GPT2LMHeadModel`, with a copy
    of its weights. Dropout is left behind, and the token type that stands at every place becomes part of the positions.

    Raises `ConfigError` for a model that ours cannot be, and `AbruptlabError` if transformers is not installed.
    """
    transformers = _transformers()
    if isinstance(model, transformers.BertForTokenClassification):
        return encoder_of_bert(model)
    if isinstance(model, transformers.GPT2LMHeadModel):
        return decoder_of_gpt2(model)
    raise ConfigError(f"expected a BertForTokenClassification or a GPT2LMHeadModel, got {type(model).__name__}")


@checked
def save_pretrained(model: Model, folder: Path | str, about: Mapping[str, Any] | None = None) -> None:
    """Write a folder that `AutoModelForTokenClassification` (an encoder) or `AutoModelForCausalLM` (a decoder), and
    `load_huggingface`, read; `about`, plain values, goes into its config.json.

    Raises `RunError` if it cannot be written, and what `to_huggingface` raises.
    """
    stock = to_huggingface(model)
    if about:
        setattr(stock.config, ABOUT, dict(about))
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stock.save_pretrained(folder)
        for path in folder.glob("*.safetensors"):  # which are written for their owner alone
            path.chmod((folder / "config.json").stat().st_mode & 0o777)
    except (OSError, SafetensorError) as error:
        raise RunError(f"cannot write {folder}: {_first_line(error)}") from None


@checked
def load_huggingface(folder: Path | str) -> Model:
    """Read a folder written by `save_pretrained`, or any other with a model that ours can be.

    Raises `CheckpointError` if it is not such a folder or lacks a weight, `ConfigError` as `from_huggingface`, and
    `AbruptlabError` if transformers is not installed.
    """
    transformers = _transformers()
    folder = Path(folder)
    if not (folder / "config.json").is_file():  # asked first, for from_pretrained looks for a missing folder online
        raise CheckpointError(f"{folder}: expected a folder written by save_pretrained, found no config.json in it")
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        stock = {"bert": transformers.BertForTokenClassification, "gpt2": transformers.GPT2LMHeadModel}
        if config.model_type not in stock:
            raise ConfigError(f"{folder}: expected a bert or a gpt2, got a {config.model_type}")
        model, info = stock[config.model_type].from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"cannot read {folder}: {_first_line(error)}") from None
    if info["missing_keys"]:  # from_pretrained has drawn them at random
        raise CheckpointError(f"{folder} lacks the weight {min(info['missing_keys'])}")
    return from_huggingface(model)


@checked
def load_authors_checkpoint(path: Path | str, heads: int = 8) -> Encoder:
    """Read a `.tar` checkpoint of the authors' code: a dictionary saved by PyTorch whose `model` holds the weights.

    The file does not say how many attention heads there are, so `heads` must; the paper has 8. Nothing but tensors and
    plain values is ever unpickled.

    Raises `CheckpointError` if the file is not such a checkpoint, or its width is not a multiple of `heads`.
    """
    weights, _ = read_authors_checkpoint(path)
    try:
        return encoder_of(weights, heads)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None


def read_authors_checkpoint(path: Path | str) -> tuple[dict[str, Tensor], int | None]:
    """The weights of a checkpoint of the authors' code under the names of a `BertForTokenClassification`, and its
    `epoch`, which they count from 0; None if it has none.

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
    names = {name: name.replace("_backbone.", "bert.", 1).replace("read_out.", "classifier.", 1) for name in model}
    epoch = checkpoint.get("epoch")
    weights = {names[name]: weight for name, weight in model.items()}
    return weights, epoch if isinstance(epoch, int) else None


def _transformers() -> ModuleType:
    try:
        import transformers
    except ImportError:
        raise AbruptlabError("this needs transformers: pip install abruptlab[huggingface]") from None
    return transformers


def _first_line(error: Exception) -> str:
    """transformers explains itself over many lines."""
    return str(error).strip().partition("\n")[0]
