"""Repetition bias and representation collapse of public language models early in their training: the follow-up paper's
last claim (arXiv 2506.13688), on any causal model of the transformers library.

The measures are those of `training.measures`: what the model writes by itself from a prompt, always the most probable
token, and its states there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from safetensors import SafetensorError
from torch import Tensor

from abruptlab.arguments import checked, require, require_count, shown
from abruptlab.errors import AbruptlabError, CheckpointError
from abruptlab.experiments.result import Outlined
from abruptlab.model.collapse import mean_cosine
from abruptlab.system.devices import choose_device
from abruptlab.system.tracking import track
from abruptlab.training.measures import repetition


@dataclass(frozen=True)
class LanguageModels(Outlined):
    """The measures of some checkpoints, in the order in which they were given.

    Collapse is of each layer's output, as transformers has it: of the last layer after the final norm, where a run's
    own measures are before it.
    """

    checkpoint: Shaped[np.ndarray, " checkpoint"]  # its folder or name, with its revision
    repetition: Float[np.ndarray, " checkpoint"]  # share of neighbours in what is written that are the same token
    collapse: Float[np.ndarray, "checkpoint layer"]  # mean cosine similarity at two written places


@checked
def measure_language_models(
    checkpoints: Sequence[str | Path | tuple[str, str]],
    prompts: Int[Tensor, "prompt pos"],
    length: int = 16,
) -> LanguageModels:
    """Each checkpoint writes `length` tokens after each of the prompts.

    A checkpoint is a folder in Hugging Face's format, a name on its hub, or a name and a revision, such as
    `("EleutherAI/pythia-14m", "step1000")`. Prompts are token ids, all of one length: the tokenizer is the model's own
    (`AutoTokenizer`).

    Raises `ConfigError` for fewer than two tokens, no checkpoint, or ids that a model does not have, and
    `AbruptlabError` where transformers is not installed or cannot load a model.
    """
    require_count(length, "length", 2)
    require(prompts.numel() > 0, "prompts", "at least one token each", shown(prompts))
    rows = [_measure(_loaded(checkpoint), prompts, length) for checkpoint in track(checkpoints, "checkpoints")]
    repeated, collapse = zip(*rows, strict=True)
    return LanguageModels(
        np.array([_name(checkpoint) for checkpoint in checkpoints]), np.array(repeated), np.stack(collapse)
    )


@torch.no_grad()
def _measure(
    model: torch.nn.Module, prompts: Int[Tensor, "prompt pos"], length: int
) -> tuple[float, Float[np.ndarray, " layer"]]:
    config: Any = model.config
    least, most = prompts.min().item(), prompts.max().item()
    fit = least >= 0 and most < config.vocab_size
    require(fit, "prompts", f"token ids from 0 to {config.vocab_size - 1:,}", f"{least:,} to {most:,}")
    places = getattr(config, "max_position_embeddings", math.inf)
    there = f"with the prompt at most {places:,}, which the model has places for"
    require(prompts.shape[1] + length <= places, "length", there, prompts.shape[1] + length)
    from transformers import GenerationConfig

    tokens = prompts.to(choose_device())
    model.to(tokens.device)
    writer: Any = model
    # its own may punish repetitions or search by beams, and knows an end of text, at which some would stop
    writer.generation_config = GenerationConfig(max_new_tokens=length, do_sample=False, pad_token_id=0)
    whole = writer.generate(tokens, attention_mask=torch.ones_like(tokens))
    written = whole[:, tokens.shape[1] :]
    states = model(whole, output_hidden_states=True).hidden_states[1:]  # the first is the embedding
    collapse = [mean_cosine(layer[:, tokens.shape[1] - 1 : -1]).mean().item() for layer in states]  # what wrote them
    return repetition(written).item(), np.array(collapse)


def _loaded(checkpoint: str | Path | tuple[str, str]) -> torch.nn.Module:
    try:
        from transformers import AutoModelForCausalLM
    except ImportError:
        raise AbruptlabError("language models need transformers: pip install 'abruptlab[huggingface]'") from None
    name, revision = checkpoint if isinstance(checkpoint, tuple) else (str(checkpoint), "main")
    strange = isinstance(checkpoint, tuple) and Path(name).is_dir()
    require(not strange, name, "no revision, as it is a folder", repr(revision))
    try:
        loading: dict[str, Any] = {"revision": revision, "output_loading_info": True}
        model, info = AutoModelForCausalLM.from_pretrained(name, **loading)  # pyright: ignore[reportGeneralTypeIssues]
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise AbruptlabError(f"no causal language model in {_name(checkpoint)}: {reason}") from None
    if info["missing_keys"]:  # from_pretrained has drawn them at random
        raise CheckpointError(f"no causal language model in {_name(checkpoint)}: no weight {min(info['missing_keys'])}")
    return model.float().eval()  # in half precision the most probable tokens tie


def _name(checkpoint: str | Path | tuple[str, str]) -> str:
    return "@".join(checkpoint) if isinstance(checkpoint, tuple) else str(checkpoint)
