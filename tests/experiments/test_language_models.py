"""The follow-up paper's measures on causal models of transformers: tiny ones, made on the spot."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from abruptlab.errors import AbruptlabError, ConfigError
from abruptlab.experiments.language_models import measure_language_models
from abruptlab.figures.language_models import draw_language_models

TOKENS, WIDTH, LAYERS, LENGTH = 50, 32, 3, 12


def model(folder: Path, seed: int, stuck: bool = False) -> Path:
    """A random model; a stuck one gives every place the same logits, so that it writes one token again and again."""
    torch.manual_seed(seed)
    made = GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=TOKENS,
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=2,
            intermediate_size=2 * WIDTH,
            max_position_embeddings=64,
            initializer_range=0.4,
        )
    )
    if stuck:
        with torch.no_grad():
            norm = made.gpt_neox.final_layer_norm
            norm.weight.zero_()
            norm.bias.copy_(torch.randn(WIDTH))
    made.save_pretrained(folder)
    return folder


def prompts(count: int = 8) -> torch.Tensor:
    return torch.randint(TOKENS, (count, 6), generator=torch.Generator().manual_seed(1))


def test_a_model_that_writes_one_token_and_one_that_does_not(tmp_path: Path) -> None:
    folders = [model(tmp_path / "stuck", 0, stuck=True), model(tmp_path / "free", 0)]
    found = measure_language_models(folders, prompts(), LENGTH)
    assert found.checkpoint.tolist() == [str(folder) for folder in folders]
    assert found.repetition[0] == 1
    assert found.collapse.shape == (2, LAYERS)
    assert found.collapse[0, -1] == pytest.approx(1, abs=1e-5)  # one state everywhere
    assert found.repetition[1] < 0.9
    assert found.collapse[1, -1] < 0.9
    assert len(draw_language_models(found).axes[0].lines) == 2


def test_it_is_what_the_formulas_say(tmp_path: Path) -> None:
    folder, tokens = model(tmp_path / "m", 3), prompts(2)
    found = measure_language_models([folder], tokens, LENGTH)
    made = GPTNeoXForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        whole = tokens
        for _ in range(LENGTH):
            whole = torch.cat([whole, made(whole).logits[:, -1:].argmax(-1)], 1)
        states = made(whole, output_hidden_states=True).hidden_states[-1][:, 5:-1].double().numpy()
    written = whole[:, 6:].numpy()
    assert found.repetition[0] == pytest.approx((written[:, 1:] == written[:, :-1]).mean())
    unit = states / np.linalg.norm(states, axis=-1, keepdims=True)
    cosines = [each[i] @ each[j] for each in unit for i in range(LENGTH) for j in range(LENGTH) if i != j]
    assert found.collapse[0, -1] == pytest.approx(np.mean(cosines), abs=1e-5)


def test_what_a_checkpoint_says_of_writing_is_not_asked_for(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", 3)
    plain = measure_language_models([folder], prompts(4), LENGTH)
    settings = {"repetition_penalty": 5.0, "num_beams": 3, "eos_token_id": list(range(TOKENS // 2))}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    again = measure_language_models([folder], prompts(4), LENGTH)
    np.testing.assert_array_equal(again.repetition, plain.repetition)
    np.testing.assert_array_equal(again.collapse, plain.collapse)


def test_half_precision_is_read_in_single(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", 3)
    made = GPTNeoXForCausalLM.from_pretrained(folder)
    made.bfloat16().save_pretrained(tmp_path / "half")
    made.float().save_pretrained(tmp_path / "rounded")
    half, rounded = measure_language_models([tmp_path / "half", tmp_path / "rounded"], prompts(4), LENGTH).collapse
    np.testing.assert_array_equal(half, rounded)


def test_what_it_cannot_do_is_one_line(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", 0)
    with pytest.raises(ConfigError, match="at least 2"):
        measure_language_models([folder], prompts(), 1)
    with pytest.raises(ConfigError, match="at least one"):
        measure_language_models([], prompts())
    for ids, came in ((99, "99 to 99"), (-1, "-1 to -1")):
        with pytest.raises(ConfigError, match=f"token ids from 0 to 49, got {came}"):
            measure_language_models([folder], torch.full((1, 3), ids))
    with pytest.raises(ConfigError, match=r"length: expected with the prompt at most 64, .* got 106"):
        measure_language_models([folder], prompts(), 100)
    with pytest.raises(ConfigError, match="expected no revision, as it is a folder, got 'step1'"):
        measure_language_models([(str(folder), "step1")], prompts())
    with pytest.raises(AbruptlabError, match="no causal language model in") as caught:
        measure_language_models([tmp_path / "nowhere"], prompts())
    assert "\n" not in str(caught.value)
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:100])
    with pytest.raises(AbruptlabError, match="no causal language model in"):
        measure_language_models([folder], prompts())


def test_weights_that_are_missing_are_not_drawn_at_random(tmp_path: Path) -> None:
    weights = load_file(model(tmp_path / "m", 0) / "model.safetensors")
    del weights["gpt_neox.layers.1.mlp.dense_h_to_4h.weight"]
    save_file(weights, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AbruptlabError, match=r"no weight gpt_neox\.layers\.1\.mlp"):
        measure_language_models([tmp_path / "m"], prompts())
