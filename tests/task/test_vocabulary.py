import re

import pytest
import torch
from hypothesis import given, strategies as st

from abruptlab.errors import VocabularyError
from abruptlab.task.matrix import MatrixTask
from abruptlab.task.vocabulary import MASK, Vocabulary

PAPER = Vocabulary.of(MatrixTask())

# Whatever a task may have: limits of a whole number of steps, and no more of them than fp32 tells apart.
vocabularies = st.integers(0, 4).flatmap(
    lambda decimals: st.builds(
        lambda steps: Vocabulary(limit=steps / 10**decimals, decimals=decimals),
        steps=st.integers(1, min(1000 * 10**decimals, 10**6)),
    )
)


def test_paper_vocabulary():
    assert PAPER.size == 2002
    assert PAPER.decode(torch.tensor([1, 1001, 2001])).tolist() == [-10.0, 0.0, 10.0]
    assert PAPER.encode(torch.tensor([-10.0, -0.01, 0.0, 0.01, 10.0])).tolist() == [1, 1000, 1001, 1002, 2001]


@pytest.mark.parametrize("decimals", range(5))
def test_every_id_survives_decode_and_encode_in_the_largest_vocabulary(decimals: int):
    vocabulary = Vocabulary.of(MatrixTask(limit=min(1000.0, 10.0 ** (6 - decimals)), decimals=decimals))
    ids = torch.arange(MASK + 1, vocabulary.size)
    assert torch.equal(vocabulary.encode(vocabulary.decode(ids)), ids)


@given(vocabularies, st.data())
def test_ids_and_values_correspond(vocabulary: Vocabulary, data: st.DataObject):
    ids = torch.tensor(data.draw(st.lists(st.integers(MASK + 1, vocabulary.size - 1), min_size=1, max_size=20)))
    values = vocabulary.decode(ids)
    expected = [round((i - vocabulary.size // 2) / 10**vocabulary.decimals, vocabulary.decimals) for i in ids.tolist()]
    torch.testing.assert_close(values, torch.tensor(expected), rtol=1e-6, atol=0)
    assert torch.equal(vocabulary.encode(values), ids)


@given(st.floats(-10, 10, width=32))
def test_a_value_gets_the_nearest_token(value: float):
    decoded = PAPER.decode(PAPER.encode(torch.tensor(value))).item()
    assert abs(decoded - value) <= 0.005 + 1e-6


def test_mask_has_no_value_and_no_value_is_mask():
    assert PAPER.decode(torch.tensor([MASK])).isnan().all()
    assert (PAPER.encode(torch.linspace(-10, 10, 5001)) != MASK).all()


@pytest.mark.parametrize("value", [10.01, -10.01, 2.0**60, float("nan"), float("inf"), -float("inf")])
def test_a_value_outside_is_named_with_the_limits(value: float):
    with pytest.raises(VocabularyError, match=re.escape(f"value {value:.2f} has no token")) as caught:
        PAPER.encode(torch.tensor([0.0, value, 1.0]))
    assert "-10.00 to 10.00" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("token", [-1, 2002])
def test_a_strange_id_is_named(token: int):
    with pytest.raises(VocabularyError, match=f"token {token} does not exist: expected 0 to 2001"):
        PAPER.decode(torch.tensor([5, token]))
