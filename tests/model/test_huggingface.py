"""The encoder is BERT, the decoder GPT-2: fp32 parity with the stock models, and the ways between them."""

import os
import pickle
import sys
from collections import OrderedDict
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForTokenClassification,
    BertConfig,
    BertForMaskedLM,
    BertForTokenClassification,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
)

from abruptlab.config import ModelConfig
from abruptlab.errors import AbruptlabError, CheckpointError, ConfigError, RunError
from abruptlab.model.decoder import Decoder
from abruptlab.model.encoder import Encoder
from abruptlab.model.generate import generate
from abruptlab.model.huggingface import (
    from_huggingface,
    load_authors_checkpoint,
    load_huggingface,
    save_pretrained,
    to_huggingface,
)
from abruptlab.model.sites import record
from abruptlab.task.counter import generator
from tests.conftest import SMALL, make_encoder

assert_close = partial(torch.testing.assert_close, rtol=1.3e-6, atol=4e-5)
TOKEN_TYPES = "bert.embeddings.token_type_embeddings.weight"


VARIANTS = {
    "zero": SMALL,
    "trained": replace(SMALL, mask_embedding="trained"),
    "wide heads": ModelConfig(layers=1, heads=2, width=128, mlp_width=32),  # attention has a path of its own for them
}


@pytest.fixture(params=VARIANTS)
def model(request: pytest.FixtureRequest) -> Encoder:
    return make_encoder(VARIANTS[request.param])


@pytest.fixture(params=["eager", "sdpa"])
def attention(request: pytest.FixtureRequest) -> str:
    return request.param


def stock(model: Encoder, attention: str = "eager") -> BertForTokenClassification:
    bert = to_huggingface(model)
    bert.set_attn_implementation(attention)
    return bert


def predict(bert: BertForTokenClassification, tokens: Tensor) -> Tensor:
    return bert(tokens, attention_mask=torch.ones_like(tokens)).logits.squeeze(-1)


def assert_same(a: nn.Module, b: nn.Module) -> None:
    assert a.config == b.config
    torch.testing.assert_close(a.state_dict(), b.state_dict(), rtol=0, atol=0)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def own_gradients(model: Encoder) -> dict[str, Tensor]:
    """The encoder's gradients under BERT's names, written out here so that a mistake in interop's table shows."""
    own = gradients(model)
    names = {
        "bert.embeddings.word_embeddings.weight": own["token_embedding.weight"],
        "bert.embeddings.position_embeddings.weight": own["position_embedding.weight"],
    }
    for kind in ("weight", "bias"):
        names[f"classifier.{kind}"] = own[f"readout.{kind}"]
        names[f"bert.embeddings.LayerNorm.{kind}"] = own[f"embed_norm.{kind}"]
        for i in range(model.config.layers):
            layer, block = f"bert.encoder.layer.{i}", f"blocks.{i}"
            qkv = own[f"{block}.attn.qkv.{kind}"].split(model.config.width)
            for part, gradient in zip(("query", "key", "value"), qkv, strict=True):
                names[f"{layer}.attention.self.{part}.{kind}"] = gradient
            names[f"{layer}.attention.output.dense.{kind}"] = own[f"{block}.attn.output.{kind}"]
            names[f"{layer}.attention.output.LayerNorm.{kind}"] = own[f"{block}.attn_norm.{kind}"]
            names[f"{layer}.intermediate.dense.{kind}"] = own[f"{block}.mlp.input.{kind}"]
            names[f"{layer}.output.dense.{kind}"] = own[f"{block}.mlp.output.{kind}"]
            names[f"{layer}.output.LayerNorm.{kind}"] = own[f"{block}.mlp_norm.{kind}"]
    return names


def test_outputs_agree(model: Encoder, tokens: Tensor, attention: str):
    prediction = model(tokens)
    assert prediction.std() > 0.1
    assert_close(predict(stock(model, attention), tokens), prediction)


def test_gradients_agree(model: Encoder, tokens: Tensor, attention: str):
    bert = stock(model, attention)
    target = torch.linspace(-1, 1, tokens.numel()).view(tokens.shape)
    for prediction in (model(tokens), predict(bert, tokens)):
        (prediction - target).square().mean().backward()
    expected = gradients(bert)
    del expected[TOKEN_TYPES]  # the one parameter that the encoder lacks
    own = own_gradients(model)
    assert_close(own, expected)
    assert sum(gradient.numel() for gradient in own.values()) == sum(p.numel() for p in model.parameters())
    assert all(gradient.abs().max() > 1e-3 for name, gradient in own.items() if not name.endswith("key.bias"))
    assert (own["bert.embeddings.word_embeddings.weight"][0] == 0).all() == (model.config.mask_embedding == "zero")


def test_ten_adam_steps_agree(model: Encoder, tokens: Tensor, attention: str):
    bert = stock(model, attention)
    bert.bert.embeddings.token_type_embeddings.requires_grad_(False)
    start = {name: weight.clone() for name, weight in model.state_dict().items()}
    ours = torch.optim.Adam(model.parameters(), lr=1e-3)
    theirs = torch.optim.Adam(bert.parameters(), lr=1e-3)
    for step in range(10):
        target = torch.sin(tokens + step).float()
        for optimizer, forward in ((ours, model), (theirs, lambda ids: predict(bert, ids))):
            optimizer.zero_grad()
            (forward(tokens) - target).square().mean().backward()
            optimizer.step()
    after = from_huggingface(bert).state_dict()
    for name, weight in model.state_dict().items():
        keep = torch.ones_like(weight, dtype=torch.bool)
        if name.endswith("qkv.bias"):
            # The key's: softmax ignores what all scores of a query share, so its gradient is rounding noise, which Adam
            # makes full steps of.
            keep[model.config.width : 2 * model.config.width] = False
        assert_close(after[name][keep], weight[keep])
        assert (weight - start[name])[keep].abs().max() > 1e-3
    assert_close(predict(bert, tokens), model(tokens))


def test_size_of_the_paper_is_berts():
    """Token types are all that BERT has more."""
    with torch.device("meta"):
        model = Encoder(ModelConfig(), vocabulary_size=2002, positions=49)
        bert = BertModel(
            BertConfig(vocab_size=2002, max_position_embeddings=49, type_vocab_size=1, num_hidden_layers=4),
            add_pooling_layer=False,
        )
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in bert.parameters()) - 768 + 769


def test_the_stock_model_is_configured_as_the_encoder(model: Encoder):
    whole = to_huggingface(model)
    assert type(whole) is BertForTokenClassification
    assert not whole.training
    bert, readout = whole.bert, whole.classifier
    assert bert.pooler is None
    assert not [m for m in whole.modules() if isinstance(m, nn.Dropout) and m.p > 0]
    assert (bert.embeddings.token_type_embeddings.weight == 0).all()
    assert bert.embeddings.token_type_embeddings.weight.shape == (1, model.config.width)
    assert bert.embeddings.word_embeddings.padding_idx == (0 if model.config.mask_embedding == "zero" else None)
    assert readout.weight.shape == (1, model.config.width)


def test_round_trip(model: Encoder):
    assert_same(from_huggingface(to_huggingface(model)), model)


def test_copies_share_nothing(encoder: Encoder, tokens: Tensor):
    before = encoder(tokens)
    bert = to_huggingface(encoder)
    back = from_huggingface(bert)
    with torch.no_grad():
        for parameter in bert.parameters():
            parameter += 1
    assert torch.equal(encoder(tokens), before)
    torch.testing.assert_close(back(tokens), before)


def test_precision_is_kept(encoder: Encoder):
    bert = to_huggingface(encoder.double())
    assert {p.dtype for p in bert.parameters()} == {torch.float64}
    assert_same(from_huggingface(bert), encoder)


def test_a_foreign_bert_with_token_types_and_dropout(tokens: Tensor):
    config = BertConfig(
        vocab_size=20,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=10,
        type_vocab_size=2,
        initializer_range=0.3,
        id2label={0: "value"},
    )
    bert = BertForTokenClassification(config).eval()
    model = from_huggingface(bert)
    assert isinstance(model, Encoder)
    assert model.config == ModelConfig(layers=3, heads=2, width=32, mlp_width=48, init_std=0.3)
    assert_close(model(tokens), predict(bert, tokens))
    assert bert.bert.embeddings.token_type_embeddings.weight[0].abs().max() > 0.1  # so it had to go somewhere


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "relu"}, "hidden_act: expected 'gelu', got 'relu'"),
        ({"hidden_act": "gelu_new"}, "hidden_act: expected 'gelu', got 'gelu_new'"),
        ({"layer_norm_eps": 1e-5}, "layer_norm_eps: expected 1e-12, got 1e-05"),
        ({"is_decoder": True}, "is_decoder: expected False, got True"),
        ({"add_cross_attention": True, "is_decoder": True}, "is_decoder: expected False"),
        ({"position_embedding_type": "relative_key"}, "expected 'absolute', got 'relative_key'"),
    ],
)
def test_what_the_encoder_cannot_be(change: dict, message: str):
    sizes = {"vocab_size": 5, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "num_labels": 1}
    with pytest.raises(ConfigError, match=message):
        from_huggingface(BertForTokenClassification(BertConfig(**sizes, **change)))


def test_what_is_no_such_model(encoder: Encoder):
    bert = to_huggingface(encoder)
    with pytest.raises(ConfigError, match="expected a BertForTokenClassification or a GPT2LMHeadModel, got"):
        from_huggingface(BertForMaskedLM(bert.config))
    bert.classifier = nn.Linear(31, 1)
    with pytest.raises(ConfigError, match=r"classifier.weight: expected \[1, 32\], got \[1, 31\]"):
        from_huggingface(bert)
    bert.classifier = nn.Linear(32, 2)
    with pytest.raises(ConfigError, match=r"classifier.bias: expected \[1\], got \[2\]"):
        from_huggingface(bert)
    bert.classifier = nn.Linear(32, 1, bias=False)
    with pytest.raises(ConfigError, match=r"classifier.bias: expected \[1\], got no such weight"):
        from_huggingface(bert)
    bert = to_huggingface(encoder)
    bert.get_submodule("bert.encoder.layer.0.output").add_module("adapter", nn.Linear(1, 1))
    with pytest.raises(ConfigError, match=r"output.adapter.bias: expected no such weight, got \[1\]"):
        from_huggingface(bert)


def test_folder_round_trip(model: Encoder, tokens: Tensor, tmp_path: Path):
    folder = tmp_path / "new" / "folder"
    save_pretrained(model, folder)
    save_pretrained(model, folder, {"step": 3})  # over the old one
    torch.manual_seed(1)  # from_pretrained would draw what is missing at random
    bert = AutoModelForTokenClassification.from_pretrained(folder)
    assert bert.config.pad_token_id == (0 if model.config.mask_embedding == "zero" else None)
    assert bert.config.abruptlab == {"step": 3}
    assert_close(predict(bert, tokens), model(tokens))
    assert_same(load_huggingface(folder), model)


def test_auto_model_has_the_hidden_states(model: Encoder, tokens: Tensor, tmp_path: Path):
    save_pretrained(model, tmp_path)
    bare = AutoModel.from_pretrained(tmp_path, add_pooling_layer=False)
    assert type(bare) is BertModel
    with (
        torch.no_grad(),
        record(model, ["blocks.1.resid_post" if model.config.layers > 1 else "blocks.0.resid_post"]) as seen,
    ):
        model(tokens)
    assert_close(bare(tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state, *seen.values())


def test_a_mask_of_padding_would_hide_the_hidden_entries_from_the_others(tokens: Tensor):
    """Why the documents say that the attention mask is all ones: MASK is the padding id."""
    model = make_encoder(SMALL)
    bert = to_huggingface(model)
    assert (bert(tokens, attention_mask=(tokens != 0).long()).logits.squeeze(-1) - model(tokens)).abs().max() > 0.1


def test_folders_that_cannot_be_read(encoder: Encoder, tmp_path: Path):
    folder = tmp_path / "model"

    def fails(message: str, error: type[AbruptlabError] = CheckpointError) -> None:
        with pytest.raises(error, match=message) as caught:
            load_huggingface(folder)
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None

    fails("expected a folder written by save_pretrained")
    save_pretrained(encoder, folder)
    weights = load_file(folder / "model.safetensors")
    assert (weights[TOKEN_TYPES] == 0).all()
    missing = {name: weight for name, weight in weights.items() if name != TOKEN_TYPES}
    save_file(missing, folder / "model.safetensors", metadata={"format": "pt"})
    fails(f"lacks the weight {TOKEN_TYPES}")
    (folder / "model.safetensors").write_bytes(b"nonsense")
    fails("cannot read")
    (folder / "model.safetensors").unlink()
    fails("cannot read")
    AutoConfig.for_model("t5", num_layers=1).save_pretrained(folder)
    fails("expected a bert or a gpt2, got a t5", ConfigError)
    (folder / "config.json").write_text("nonsense")
    fails("cannot read")


def test_a_folder_that_cannot_be_written(encoder: Encoder, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot write .*file"):
        save_pretrained(encoder, tmp_path / "file")


def test_without_transformers(encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bert = to_huggingface(encoder)
    monkeypatch.setitem(sys.modules, "transformers", None)
    for use in (
        lambda: to_huggingface(encoder),
        lambda: from_huggingface(bert),
        lambda: save_pretrained(encoder, tmp_path),
        lambda: load_huggingface(tmp_path),
    ):
        with pytest.raises(AbruptlabError, match=r"pip install abruptlab\[huggingface\]"):
            use()


def authors_checkpoint(model: Encoder) -> dict:
    """What the authors' script saves: their BERT has no token types and, in older releases, a buffer of positions."""
    bert = to_huggingface(model)
    weights = OrderedDict({"_backbone.embeddings.position_ids": torch.arange(12)[None]})
    for name, weight in bert.state_dict().items():
        if name != TOKEN_TYPES:
            weights[name.replace("bert.", "_backbone.", 1).replace("classifier.", "read_out.", 1)] = weight
    optimizer = torch.optim.Adam(bert.parameters())
    return {"epoch": 50_000, "model": weights, "optim": optimizer.state_dict(), "vocab_size": 20}


def test_authors_checkpoint(model: Encoder, tokens: Tensor, tmp_path: Path):
    checkpoint = authors_checkpoint(model)
    torch.save(checkpoint, tmp_path / "zip.tar")
    torch.save(checkpoint, tmp_path / "old.tar", _use_new_zipfile_serialization=False)
    for name in ("zip.tar", "old.tar"):
        loaded = load_authors_checkpoint(tmp_path / name, model.config.heads)
        assert_same(loaded, model)
        assert torch.equal(loaded(tokens), model(tokens))
    assert load_authors_checkpoint(tmp_path / "zip.tar").config.heads == 8


class Malicious:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.mark),)


def test_no_code_of_a_checkpoint_is_run(encoder: Encoder, tmp_path: Path):
    path, mark = tmp_path / "bad.tar", tmp_path / "mark"
    bad = authors_checkpoint(encoder) | {"epoch": Malicious(mark)}
    torch.save(bad, path)
    with pytest.raises(CheckpointError, match=r"bad.tar is not a checkpoint of weights"):
        load_authors_checkpoint(path)
    path.write_bytes(pickle.dumps(bad["epoch"]))
    with pytest.raises(CheckpointError, match=r"bad.tar is not a checkpoint of weights"):
        load_authors_checkpoint(path)
    assert not mark.exists()
    pickle.loads(path.read_bytes())  # the file would have done it
    assert mark.exists()


def without(name: str):
    return lambda weights: weights.pop(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("read_out.bias"), r"classifier.bias: expected \[1\], got no such weight"),
        (without("_backbone.embeddings.word_embeddings.weight"), "word_embeddings.weight: expected a matrix, got no"),
        (
            without("_backbone.encoder.layer.1.output.dense.bias"),
            "layer.1.output.dense.bias: expected .* no such weight",
        ),
        (lambda weights: weights.update({"head.weight": torch.zeros(1)}), r"head.weight: expected no such weight"),
        (
            lambda weights: weights.update({"_backbone.encoder.layer.0.attention.self.key.bias": torch.zeros(1)}),
            r"key.bias: expected \[32\], got \[1\]",
        ),
        (
            lambda weights: weights.update({"_backbone.embeddings.position_embeddings.weight": torch.zeros(32)}),
            r"position_embeddings.weight: expected a matrix of floats, got \[32\]",
        ),
        (lambda weights: weights.update({"_backbone.encoder.layer.0.x": 3}), "the model's weights under 'model'"),
        (lambda weights: weights.clear(), "word_embeddings.weight: expected a matrix, got no such weight"),
    ],
)
def test_other_weights_are_refused(encoder: Encoder, tmp_path: Path, change, message: str):
    checkpoint = authors_checkpoint(encoder)
    change(checkpoint["model"])
    torch.save(checkpoint, tmp_path / "other.tar")
    with pytest.raises(CheckpointError, match=message) as caught:
        load_authors_checkpoint(tmp_path / "other.tar", heads=4)
    assert str(caught.value).startswith(str(tmp_path / "other.tar"))
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(encoder: Encoder, tmp_path: Path):
    path = tmp_path / "file.tar"

    def fails(message: str, heads: int = 4) -> None:
        with pytest.raises(CheckpointError, match=message) as caught:
            load_authors_checkpoint(path, heads)
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is None

    fails("cannot read .*file.tar: .*No such file")
    torch.save(authors_checkpoint(encoder), path)
    fails(r"file.tar: width: expected a multiple of heads \(7\), got 32", heads=7)
    whole = path.read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        fails("not a checkpoint of weights, or is truncated")
    path.write_bytes(b"this is no checkpoint")
    fails("not a checkpoint of weights, or is truncated")
    path.unlink()
    path.mkdir()
    fails("cannot read .*Is a directory")


GPT = replace(SMALL, kind="decoder", mask_embedding="trained")


@pytest.fixture
def decoder() -> Decoder:
    """A small decoder for 20 tokens and 12 places, its biases and norms too far from where they start."""
    model = Decoder(GPT, vocabulary_size=20, positions=12)
    model.initialise(generator(0))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator(1, parameter.numel()))
    return model


def test_the_decoder_is_gpt2(decoder: Decoder, tokens: Tensor, attention: str):
    gpt = to_huggingface(decoder)
    assert type(gpt) is GPT2LMHeadModel
    gpt.set_attn_implementation(attention)
    logits = decoder(tokens)
    assert logits.std() > 0.1
    assert_close(gpt(tokens).logits, logits)
    for each in (gpt(tokens).logits, logits):
        each.logsumexp(-1).square().mean().backward()
    theirs = gradients(gpt)
    assert_close(theirs["lm_head.weight"], gradients(decoder)["readout.weight"])
    assert_close(theirs["transformer.h.1.attn.c_attn.weight"].T, gradients(decoder)["blocks.1.attn.qkv.weight"])
    assert sum(each.numel() for each in theirs.values()) == sum(p.numel() for p in decoder.parameters())


def test_a_decoder_as_a_folder_which_generates(decoder: Decoder, tokens: Tensor, tmp_path: Path):
    assert_same(from_huggingface(to_huggingface(decoder)), decoder)
    save_pretrained(decoder, tmp_path)
    assert_same(load_huggingface(tmp_path), decoder)
    gpt = AutoModelForCausalLM.from_pretrained(tmp_path)
    said = gpt.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=3, do_sample=False)  # type: ignore
    assert torch.equal(said[:, tokens.shape[1] :], generate(decoder, tokens))


def test_a_tied_read_out_becomes_one_of_its_own(tokens: Tensor):
    config = GPT2Config(vocab_size=20, n_positions=12, n_embd=32, n_layer=1, n_head=2, initializer_range=0.3)
    tied = GPT2LMHeadModel(config).eval()
    model = from_huggingface(tied)
    assert isinstance(model, Decoder)
    assert_close(model(tokens), tied(tokens).logits)
    with torch.no_grad():
        model.readout.weight += 1
    assert not torch.equal(model.readout.weight, model.token_embedding.weight)


def test_what_gpt2_cannot_be(decoder: Decoder):
    linear = Decoder(replace(GPT, attention="linear"), vocabulary_size=20, positions=12)
    with pytest.raises(ConfigError, match="GPT-2 has softmax attention, not linear"):
        to_huggingface(linear)
    other = to_huggingface(decoder)
    other.config.activation_function = "relu"
    with pytest.raises(ConfigError, match="activation_function: expected 'gelu_new', got 'relu'"):
        from_huggingface(other)
