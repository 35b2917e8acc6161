"""Sums and counts of the metrics, on models whose outputs are set by hand."""

import math

import pytest
import torch
from torch import Tensor, nn

from abruptlab.task.matrices import Batch
from abruptlab.task.matrix import MatrixTask
from abruptlab.task.objectives import NextToken, Regression
from abruptlab.task.sequences import prompts, sequences
from abruptlab.task.vocabulary import MASK, Vocabulary

TASK = MatrixTask(sizes=((1, 3),), rank=1, limit=0.02)
VOCABULARY = Vocabulary.of(TASK)  # MASK, -0.02 … 0.02 as 1 … 5, SEP 6, and two that never occur
VALUES = torch.tensor([[0.01, -0.02, 0.0], [0.02, 0.02, -0.01]])
OBSERVED = torch.tensor([[True, False, True], [False, True, True]])
BATCH = Batch(torch.where(OBSERVED, VOCABULARY.encode(VALUES), MASK), VALUES, OBSERVED, (1, 3))


class Guesses(nn.Module):
    """Gives the same logits for every matrix: `favourite[p]` has probability `share[p]` after place p, all other ids
    the rest in equal parts."""

    favourite = (0, 1, 6, 4, 1, 3)
    share = (0.5, 0.1, 0.9, 0.4, 0.6, 0.7)

    def probability(self, place: int, token: int) -> float:
        share = self.share[place]
        return share if token == self.favourite[place] else (1 - share) / (VOCABULARY.decoder_size - 1)

    def forward(self, tokens: Tensor) -> Tensor:
        assert tokens.shape[1] == 6  # nothing is predicted after the last one
        table = [
            [math.log(self.probability(p, token)) + p for token in range(VOCABULARY.decoder_size)] for p in range(6)
        ]
        return torch.tensor(table).expand(len(tokens), -1, -1)


def test_what_a_decoder_reads() -> None:
    assert prompts(BATCH, VOCABULARY).tolist() == [[4, 0, 3, 6], [0, 5, 2, 6]]
    assert sequences(BATCH, VOCABULARY).tolist() == [[4, 0, 3, 6, 4, 1, 3], [0, 5, 2, 6, 5, 5, 2]]
    paper = Vocabulary(limit=2.0, decimals=2)
    assert (paper.size, paper.separator, paper.decoder_size) == (402, 402, 405)


def test_next_token_place_by_place() -> None:
    model, objective = Guesses(), NextToken(TASK)
    expected = dict.fromkeys(objective.names, 0.0)
    counts = dict.fromkeys(objective.names, 0)
    for tokens, observed in zip(sequences(BATCH, VOCABULARY).tolist(), OBSERVED.tolist(), strict=True):
        for place in range(6):
            loss = -math.log(model.probability(place, tokens[place + 1]))
            part = "prompt" if place < 3 else "observed" if observed[place - 3] else "masked"
            for name in ("loss", f"loss_{part}"):
                expected[name] += loss
                counts[name] += 1
            if place >= 3:
                expected[f"accuracy_{part}"] += model.favourite[place] == tokens[place + 1]
                counts[f"accuracy_{part}"] += 1
    torch.testing.assert_close(objective.sums(model, BATCH), torch.tensor([*expected.values()]))
    assert objective.counts(BATCH).tolist() == [*counts.values()]
    assert expected["accuracy_observed"] == 2
    assert expected["accuracy_masked"] == 1


def test_regression_entry_by_entry() -> None:
    class Same(nn.Module):
        def forward(self, tokens: Tensor) -> Tensor:
            return torch.full(tokens.shape, -0.03)

    squared = (VALUES + 0.03).square()
    expected = [squared.sum(), squared[OBSERVED].sum(), squared[~OBSERVED].sum(), torch.tensor(0.06)]
    torch.testing.assert_close(Regression(TASK).sums(Same(), BATCH), torch.stack(expected))
    assert Regression(TASK).counts(BATCH).tolist() == [6, 4, 2, 2]


@pytest.mark.parametrize(("objective", "model"), [(NextToken(TASK), Guesses()), (Regression(TASK), nn.Flatten(1))])
def test_parts_of_a_batch_add_up(objective: NextToken | Regression, model: nn.Module) -> None:
    whole = objective.sums(model, BATCH)
    torch.testing.assert_close(objective.sums(model, BATCH[:1]) + objective.sums(model, BATCH[1:]), whole)
    assert len(whole) == len(objective.names)


def test_what_each_query_of_a_decoder_needs() -> None:
    objective = NextToken(TASK)
    useful = objective.useful(BATCH)
    assert objective.inputs(BATCH).tolist() == [[4, 0, 3, 6, 4, 1], [0, 5, 2, 6, 5, 5]]
    assert useful.shape == (2, 6, 6)
    assert useful.nonzero().tolist() == [[0, 3, 0], [0, 5, 2], [1, 4, 1], [1, 5, 2]]  # the observed entries alone


def test_useful_places_are_the_observed_others_in_row_and_column() -> None:
    observed = torch.ones(1, 12, dtype=torch.bool)
    observed[0, [1, 8]] = False
    batch = Batch(torch.zeros(1, 12).long(), torch.zeros(1, 12), observed, (3, 4))
    useful = Regression(MatrixTask(sizes=((3, 4),), rank=1)).useful(batch)
    assert useful.shape == (1, 12, 12)
    assert useful[0, 0].nonzero().flatten().tolist() == [2, 3, 4]
    assert useful[0, 1].nonzero().flatten().tolist() == [0, 2, 3, 5, 9]
    assert useful[0, 6].nonzero().flatten().tolist() == [2, 4, 5, 7, 10]
