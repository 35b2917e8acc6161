"""Each quantity against a second, plain computation on the exported stock BertModel."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from abruptlab.experiments.ablation import constant_maps
from abruptlab.experiments.attention import mean_attention
from abruptlab.experiments.copying import VALUES, full_rank, measure_copying
from abruptlab.experiments.forward import predict
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.patching import Patch, predict_patched
from abruptlab.experiments.permutation import permute
from abruptlab.experiments.probes import probe
from abruptlab.experiments.progress import hidden_and_attention, measure_progress
from abruptlab.experiments.switching import switch
from abruptlab.model.collapse import mean_cosine
from abruptlab.model.huggingface import to_huggingface
from abruptlab.run.pretrained import load_pretrained, pretrained_run
from abruptlab.task.matrices import negated
from abruptlab.task.vocabulary import MASK, Vocabulary

pytest.importorskip("transformers")
RUN = pretrained_run("pocket")
BATCH = held_out(RUN, 24)
LAYERS, HEADS, PLACES = 4, 8, 16
CLOSE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-4}


class Stock:
    """The stock model of a checkpoint, with the plainest of hooks."""

    def __init__(self, step: int | str = "final") -> None:
        stock = to_huggingface(load_pretrained("pocket", step))
        self.bert, self.readout = stock.bert, stock.classifier
        self.bert.config._attn_implementation = "eager"
        self.bert.eval()

    def __call__(self, tokens: Tensor = BATCH.tokens) -> Tensor:
        with torch.no_grad():
            return self.readout(self.bert(tokens).last_hidden_state).squeeze(-1)

    def states(self) -> list[Tensor]:
        with torch.no_grad():
            return list(self.bert(BATCH.tokens, output_hidden_states=True).hidden_states)

    def patterns(self) -> list[Tensor]:
        with torch.no_grad():
            return list(self.bert(BATCH.tokens, output_attentions=True).attentions)

    def attention(self, layer: int) -> Any:
        """The self-attention of a layer."""
        layers: Any = self.bert.encoder.layer
        return layers[layer].attention.self

    def replacing_z(self, layer: int, new: Callable[[Tensor, Tensor], Tensor], tokens: Tensor) -> Tensor:
        """The predictions with the heads' outputs of a layer (its input, they) replaced."""
        module = self.attention(layer)

        def hook(_module: object, inputs: tuple, output: tuple) -> tuple:
            return (new(inputs[0], output[0]), *output[1:])

        handle = module.register_forward_hook(hook)
        try:
            return self(tokens)
        finally:
            handle.remove()


def by_head(z: Tensor) -> Tensor:
    return z.unflatten(-1, (HEADS, -1))


def test_predictions_and_attention_maps() -> None:
    stock, model = Stock(), load_pretrained("pocket")
    with torch.no_grad():
        torch.testing.assert_close(model(BATCH.tokens), stock(), **CLOSE)
    maps = torch.stack([pattern.mean(0) for pattern in stock.patterns()])
    np.testing.assert_allclose(mean_attention(model, BATCH, 0).maps, maps, atol=1e-5)


@pytest.mark.parametrize("replacement", ["uniform", "mean", "zero"])
@pytest.mark.parametrize("layer", [0, 2])
def test_ablation_of_single_heads(replacement: str, layer: int) -> None:
    stock, model = Stock(), load_pretrained("pocket")
    for head in (0, 5):
        pattern = stock.patterns()[layer][:, head]
        constant = {
            "uniform": torch.full((PLACES, PLACES), 1 / PLACES),
            "mean": pattern.mean(0),
            "zero": torch.zeros(PLACES, PLACES),
        }[replacement]

        def ablated(entering: Tensor, z: Tensor, head: int = head, constant: Tensor = constant) -> Tensor:
            value = by_head(stock.attention(layer).value(entering))
            z = by_head(z).clone()
            z[:, :, head] = constant @ value[:, :, head]
            return z.flatten(2)

        expected = stock.replacing_z(layer, ablated, BATCH.tokens)
        torch.testing.assert_close(
            predict(model, BATCH.tokens, constant_maps(model, [(layer, head)], replacement)), expected, **CLOSE
        )


def test_patching_of_a_layer_s_heads() -> None:
    stock, model, opposite = Stock(), load_pretrained("pocket"), negated(BATCH, RUN.config.matrices)
    for layer in range(LAYERS):
        clean: list[Tensor] = []

        def keep(_entering: Tensor, z: Tensor, clean: list[Tensor] = clean) -> Tensor:
            clean.append(z)
            return z

        stock.replacing_z(layer, keep, BATCH.tokens)
        expected = stock.replacing_z(layer, lambda _entering, _z, clean=clean: clean[0], opposite.tokens)
        [patched] = predict_patched(model, BATCH.tokens, opposite.tokens, [[Patch(f"blocks.{layer}.attn.z")]])
        torch.testing.assert_close(patched, expected, **CLOSE)


@pytest.mark.parametrize(
    ("group", "theirs"),
    [
        ("attention-qkv", lambda name: any(part in name for part in ("self.query", "self.key", "self.value"))),
        ("not-attention", lambda name: "attention" not in name),
    ],
)
def test_switching_by_the_names_of_the_public_code(group: str, theirs: Callable[[str], bool]) -> None:
    into, source = Stock("final"), Stock("before-drop")
    new = source.bert.state_dict()
    into.bert.load_state_dict(
        {name: new[name] if theirs(name) else old for name, old in into.bert.state_dict().items()}
    )
    if theirs("read_out.weight"):
        into.readout.load_state_dict(source.readout.state_dict())
    switched = switch(load_pretrained("pocket"), load_pretrained("pocket", "before-drop"), [group])
    with torch.no_grad():
        torch.testing.assert_close(switched(BATCH.tokens), into(), **CLOSE)


def test_permuted_positions() -> None:
    stock, order = Stock(), torch.randperm(PLACES, generator=torch.Generator().manual_seed(0))
    table = stock.bert.embeddings.position_embeddings.weight
    with torch.no_grad():
        table[:] = table[order].clone()
        expected = stock()
        torch.testing.assert_close(permute(load_pretrained("pocket"), order)(BATCH.tokens), expected, **CLOSE)


def test_collapse_is_the_cosine_of_all_pairs() -> None:
    states = Stock().states()[-1]
    pairs = [
        torch.cosine_similarity(states[:, a], states[:, b], dim=-1)
        for a in range(PLACES)
        for b in range(PLACES)
        if a != b
    ]
    torch.testing.assert_close(mean_cosine(states), torch.stack(pairs).mean(0).double(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("target", ["row", "column", "element"])
def test_probes_are_least_squares_on_the_stock_states(target: str) -> None:
    """Of every token of 16 matrices to those of 8 others: its row and its column as they are given, its true value."""
    given = (BATCH.values * BATCH.observed).unflatten(1, (4, 4))
    known = {
        "row": given.repeat_interleave(4, 1),
        "column": given.mT.repeat(1, 4, 1),
        "element": BATCH.values[..., None],
    }
    truth = known[target].double().numpy()
    result = probe(load_pretrained("pocket"), BATCH[8:], BATCH[:8])[target]
    for site, states in enumerate(Stock().states()):
        states = states.double().numpy()
        solution = np.linalg.lstsq(np.concatenate([*states[8:]]), np.concatenate([*truth[8:]]), rcond=1e-8)[0]
        error = ((states[:8] @ solution - truth[:8]) ** 2).mean(-1)
        hidden = ~BATCH.observed[:8].numpy()
        assert result.mse.mean[site, 0] == pytest.approx(error.mean(), rel=2e-2)
        assert result.mse.mean[site, 2] == pytest.approx(error[hidden].mean(), rel=2e-2)


def test_the_copying_check_counts_what_the_stock_model_gives_back() -> None:
    """The value at every hidden place replaced by another, on matrices of the task and on those of independent entries;
    MASK, given back as 0."""
    stock, step = Stock("before-drop"), RUN.resolve("before-drop")
    check = measure_copying(RUN, steps=[step], matrices=24)
    for row in range(len(check.step)):
        batch = BATCH if check.low_rank[row] else full_rank(RUN, 24)
        value = float(np.nan_to_num(check.value[row]))
        token = MASK if np.isnan(check.value[row]) else Vocabulary.of(RUN.config.matrices).encode(torch.tensor(value))
        said = stock(torch.where(batch.observed, batch.tokens, token))
        distance = (said - value)[~batch.observed].square().mean().item()
        observed = (said - batch.values)[batch.observed].square().mean().item()
        assert check.distance.mean[row] == pytest.approx(distance, rel=1e-3)
        assert check.loss_observed.mean[row] == pytest.approx(observed, rel=1e-3)
    assert sorted(set(np.nan_to_num(check.value))) == sorted({0.0, *VALUES})


def test_attention_progress_is_the_share_on_observed_places_of_the_row_and_column() -> None:
    model, progress = load_pretrained("pocket"), measure_progress(RUN, ["final"], matrices=24)
    _, heads = hidden_and_attention(model, BATCH, RUN.objective)
    row, column = np.divmod(np.arange(PLACES), 4)
    line = (row[:, None] == row) ^ (column[:, None] == column)  # of the same row or column, not the place itself
    for layer, pattern in enumerate(Stock().patterns()):
        shares = [
            (pattern[:, head].numpy() * (line & BATCH.observed.numpy()[:, None])).sum((1, 2)) / PLACES
            for head in range(HEADS)
        ]
        np.testing.assert_allclose(heads[layer], shares, atol=1e-5)
        np.testing.assert_allclose(progress.heads.mean[0, layer], np.mean(shares, 1), atol=1e-5)
