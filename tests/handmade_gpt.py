"""A decoder whose weights are set by hand: at each place of the answer it looks up the entry to be written next in the
prompt, and writes it, MASK too."""

from pathlib import Path

import numpy as np
import torch

from abruptlab.config import MatrixTask, ModelConfig, RunConfig, TrainingConfig
from abruptlab.model.decoder import Decoder
from abruptlab.run.run import Run
from abruptlab.task.vocabulary import Vocabulary
from tests.synthetic import END, ONSET, STEPS, make_run

ENTRIES = 25
TASK = MatrixTask(sizes=((5, 5),), rank=1, limit=1.0)
TOKENS, PLACES = Vocabulary.of(TASK).decoder_size, 2 * ENTRIES + 1
CONFIG = RunConfig(
    name="gpt",
    task=TASK,
    model=ModelConfig(kind="decoder", layers=1, heads=1, width=TOKENS + PLACES, mlp_width=4, mask_embedding="trained"),
    training=TrainingConfig(steps=STEPS),
)
ENTROPY = 4.9  # nats, about that of an entry


@torch.no_grad()
def parrot() -> Decoder:
    """A decoder that writes the token it has just read: one-hot embeddings of tokens and places, and nothing else."""
    model = Decoder(CONFIG.model, TOKENS, PLACES).eval()
    for parameter in model.blocks.parameters():
        parameter.zero_()
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            parameter.fill_(1)
    one_hot = torch.eye(TOKENS + PLACES)
    model.token_embedding.weight.copy_(one_hot[:TOKENS])
    model.position_embedding.weight.copy_(one_hot[TOKENS:])
    model.readout.weight.copy_(one_hot[:TOKENS])
    return model


@torch.no_grad()
def copier() -> Decoder:
    """A decoder that copies the prompt, by a head that looks from the place before each entry at that entry."""
    model, width = parrot(), TOKENS + PLACES
    qkv = model.get_parameter("blocks.0.attn.qkv.weight")
    for entry in range(ENTRIES):
        qkv[entry, TOKENS + ENTRIES + entry] = 2  # query: SEP and the answer
        qkv[width + entry, TOKENS + entry] = 2  # key: the prompt
    for token in range(TOKENS):
        qkv[2 * width + token, token] = 1  # value
    model.get_parameter("blocks.0.attn.output.weight").copy_(10 * torch.eye(width))
    return model


def make_gpt_metrics(
    steps: int = STEPS, onset: int = ONSET, end: int = END, final: float = 0.02, prompt: float = 1.0
) -> dict[str, np.ndarray]:
    """A plateau of the loss at observed entries at their entropy, and a fall to `final` of it; the prompt's loss falls
    with it to `prompt` of its own."""
    step = np.arange(steps)
    noise = np.random.default_rng(0).normal(1, 0.01, (3, steps))
    fallen = np.clip((step - onset) / (end - onset), 0, 1)
    of_prompt = 3.8 * (1 - (1 - prompt) * fallen) * noise[0]
    observed = ENTROPY * (1 - (1 - final) * fallen) * noise[1]
    masked = ENTROPY * noise[2]
    return {
        "step": step,
        "loss": of_prompt / 2 + (0.7 * observed + 0.3 * masked) / 2,
        "loss_prompt": of_prompt,
        "loss_observed": observed,
        "loss_masked": masked,
        "accuracy_observed": fallen,
        "accuracy_masked": np.full(steps, 0.03),
        "learning_rate": np.full(steps, 1e-3),
        "elapsed_s": step * 0.01,
    }


def gpt_run(
    folder: Path, metrics: dict[str, np.ndarray] | None = None, models: dict[int, Decoder] | None = None
) -> Run:
    """A run that parrots on the plateau and copies after the drop."""
    story = {0: parrot(), ONSET // 2: parrot(), END: copier(), STEPS: copier()}
    return make_run(folder, make_gpt_metrics() if metrics is None else metrics, models or story, CONFIG)
