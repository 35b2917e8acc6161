"""The sampler: laws and exact properties. Tolerances of statistics are five standard errors, at fixed seeds."""

import math
from itertools import islice

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from abruptlab.errors import ConfigError, VocabularyError
from abruptlab.task.matrices import (
    BLOCK,
    Batch,
    generator,
    local_coherence,
    sample,
    sample_factors,
    size_choices,
    stream,
)
from abruptlab.task.matrix import MatrixTask
from abruptlab.task.vocabulary import MASK, Vocabulary


def steps(task: MatrixTask, batch: int, seed: int = 0, count: int = BLOCK) -> list[Batch]:
    return list(islice(stream(task, batch, seed), count))


def hidden(batch: Batch) -> Tensor:
    return ~batch.observed.unflatten(-1, batch.size)


def same(a: Batch, b: Batch) -> bool:
    tensors = ((a.tokens, b.tokens), (a.values, b.values), (a.observed, b.observed))
    return a.size == b.size and all(torch.equal(x, y) for x, y in tensors)


def test_a_batch_is_consistent():
    task = MatrixTask(sizes=((3, 5),))
    batch = sample(task, 10, 0)
    assert batch.size == (3, 5)
    assert batch.tokens.shape == batch.values.shape == batch.observed.shape == (10, 15)
    assert (batch.tokens[~batch.observed] == MASK).all()
    assert torch.equal(Vocabulary.of(task).decode(batch.tokens[batch.observed]), batch.values[batch.observed])
    assert (batch.values.abs() <= task.rank).all()
    assert batch[2:5].size == (3, 5)
    assert torch.equal(batch[2:5].tokens, batch.tokens[2:5])


def test_a_batch_of_parts_of_other_matrices_is_refused():
    batch = sample(MatrixTask(sizes=((5, 5),), rank=1), 4, seed=0)
    with pytest.raises((ConfigError, TypeCheckError)):  # the hook of the tests comes first
        Batch(batch.tokens, batch.values[:3], batch.observed, batch.size)
    with pytest.raises(ConfigError, match=r"tokens: .*\[4, 16\], as size is \(4, 4\), got int64 \[4, 25\]"):
        Batch(batch.tokens, batch.values, batch.observed, (4, 4))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_matrices_have_the_rank_and_are_rounded_to_the_step(rank: int):
    # Rounding moves X by at most half a step an entry, so (Weyl, Frobenius) the singular values past the rank stay
    # within √(mn)/2 steps; with a fine step nothing is left of them.
    for decimals in (2, 4):
        task = MatrixTask(rank=rank, decimals=decimals, limit=10.0)
        values = sample(task, 256, 0).values
        in_steps = values.double() * 10**decimals
        assert (in_steps - in_steps.round()).abs().max() < 1e-2
        singular = torch.linalg.svdvals(values.double().unflatten(-1, (7, 7)))
        assert (singular[:, rank:] <= 3.5 * 10.0**-decimals * (1 + 1e-3)).all()
        assert (singular[:, rank - 1] > 3.5 * 10.0**-decimals).double().mean() > 0.9


def test_values_are_the_rounded_products_of_the_factors():
    """The block's generator gives U, then V: the draws are part of what decides a run's numbers."""
    task = MatrixTask(sizes=((4, 6),), rank=3)
    random = generator(5, 0, 0)
    u = sample_factors(task, (BLOCK, 8, 4, 3), random)
    v = sample_factors(task, (BLOCK, 8, 6, 3), random)
    product = (u @ v.mT).flatten(-2)
    values = torch.stack([batch.values for batch in steps(task, 8, 5)])
    assert (values - product).abs().max() <= 0.005 + 1e-6
    assert torch.linalg.matrix_rank(u.double() @ v.double().mT).max() == 3


@pytest.mark.parametrize(
    ("factors", "variance", "kurtosis"), [("uniform", 1 / 3, 9 / 5), ("gaussian", 1, 3), ("laplace", 2, 6)]
)
def test_factor_moments(factors, variance: float, kurtosis: float):
    n = 10**6
    x = sample_factors(MatrixTask(factors=factors), (n,), generator(0)).double()
    assert abs(x.mean()) < 5 * math.sqrt(variance / n)
    assert abs(x.square().mean() - variance) < 5 * variance * math.sqrt((kurtosis - 1) / n)
    # The fourth moment's own error needs the eighth: 1/9, 105 and 8! for these three.
    eighth = {"uniform": 1 / 9, "gaussian": 105, "laplace": 40320}[factors]
    fourth = kurtosis * variance**2
    assert abs((x**4).mean() - fourth) < 5 * math.sqrt((eighth - fourth**2) / n)
    assert x.isfinite().all()


@pytest.mark.parametrize("factors", ["uniform", "gaussian", "laplace"])
def test_predicting_zero_costs_the_copying_level(factors):
    task = MatrixTask(factors=factors, limit=100.0)
    # Entries of one matrix share factors: the matrices, not the entries, are independent.
    costs = torch.stack([batch.values for batch in steps(task, 256)]).square().mean(-1).flatten()
    assert abs(costs.mean() - task.copying_level) < 5 * costs.std() / math.sqrt(len(costs))


def test_each_entry_is_hidden_with_the_probability():
    p, n = 0.3, 256 * BLOCK
    rates = torch.cat([hidden(batch) for batch in steps(MatrixTask(mask_probability=p), 256)])
    error = math.sqrt(p * (1 - p) / n)
    assert (rates.double().mean(0) - p).abs().max() < 5 * error  # every place
    counts = rates.flatten(1).sum(-1).double()
    variance = 49 * p * (1 - p)  # a fixed count would have none
    assert abs(counts.var() - variance) < 5 * variance * math.sqrt(2 / n)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_nothing_or_everything_hidden(p: float):
    assert (hidden(sample(MatrixTask(mask_probability=p), 256, 0)) == bool(p)).all()


def test_fixed_rows_and_columns_are_hidden_except_the_kept():
    """Figure 5's mask."""
    task = MatrixTask(mask="fixed", hidden_rows=(3, 6), hidden_columns=(3, 6), kept=((3, 1), (6, 5), (1, 3), (5, 6)))
    expected = torch.tensor(
        [
            [0, 0, 0, 1, 0, 0, 1],
            [0, 0, 0, 0, 0, 0, 1],
            [0, 0, 0, 1, 0, 0, 1],
            [1, 0, 1, 1, 1, 1, 1],
            [0, 0, 0, 1, 0, 0, 1],
            [0, 0, 0, 1, 0, 0, 0],
            [1, 1, 1, 1, 1, 0, 1],
        ]
    ).bool()
    assert (hidden(sample(task, 5, 0)) == expected).all()


def coherence_case(fraction: float) -> tuple[Tensor, Tensor, Tensor]:
    """A block's hidden places under the coherence mask, its coherences, and the random mask of the same draws."""
    task = MatrixTask(sizes=((6, 7),), mask="coherence", coherence_fraction=fraction)
    random = generator(3, 0, 0)
    u = sample_factors(task, (BLOCK, 32, 6, 2), random)
    v = sample_factors(task, (BLOCK, 32, 7, 2), random)
    chance = torch.rand((BLOCK, 32, 6, 7), generator=random)
    places = torch.stack([hidden(batch) for batch in steps(task, 32, 3)])
    return places.flatten(-2), local_coherence(u, v).flatten(-2), (chance < 0.3).flatten(-2)


def test_local_coherence_is_the_leverage_of_row_and_column():
    u, v = torch.randn(5, 6, 2, generator=generator(0)).double(), torch.randn(5, 7, 2, generator=generator(1)).double()
    left, _, right = torch.linalg.svd(u @ v.mT, full_matrices=False)
    rows = 6 / 2 * left[..., :2].square().sum(-1)
    columns = 7 / 2 * right[:, :2].square().sum(-2)
    torch.testing.assert_close(local_coherence(u, v), rows[..., :, None] + columns[..., None, :])


@pytest.mark.parametrize("fraction", [0.0, 0.4, 1.0])
def test_coherence_mask_hides_as_many_as_the_random_mask(fraction: float):
    places, _, random = coherence_case(fraction)
    assert torch.equal(places.sum(-1), random.sum(-1))


def test_full_coherence_hides_exactly_the_most_coherent():
    places, coherence, _ = coherence_case(1.0)
    seen = coherence.masked_fill(places, -torch.inf).amax(-1)
    unseen = coherence.masked_fill(~places, torch.inf).amin(-1)
    assert (unseen >= seen).all()


def test_half_coherence_hides_at_least_its_share_of_the_most_coherent():
    places, coherence, _ = coherence_case(0.5)
    share = (0.5 * places.sum(-1)).round().long()
    order = coherence.argsort(-1, descending=True)
    in_order = places.gather(-1, order)  # the first `share` of these must all be hidden, some later ones too
    first = torch.arange(places.shape[-1]) < share[..., None]
    assert in_order[first].all()
    assert (in_order & ~first).sum() == (places.sum(-1) - share).sum()
    assert not in_order.long().diff(dim=-1).le(0).all()


def test_no_coherence_is_as_random():
    places, coherence, _ = coherence_case(0.0)
    n = places[..., 0].numel()
    assert (places.double().mean((0, 1)) - 0.3).abs().max() < 5 * math.sqrt(0.21 / n)
    # Hidden entries are no more coherent than others: m·n·mean(c | hidden) against mean(c), both per matrix.
    excess = (places * (coherence - coherence.mean(-1, keepdim=True))).sum(-1)
    assert abs(excess.mean()) < 5 * excess.std() / math.sqrt(n)


def test_any_step_replays_equal():
    task = MatrixTask(sizes=((4, 4), (5, 5)), mask="coherence")
    run = steps(task, 6, 7, 2 * BLOCK)
    for step in (0, 1, BLOCK - 1, BLOCK, BLOCK + 17):
        assert same(sample(task, 6, 7, step), run[step])
    for start in (1, BLOCK - 3, BLOCK, BLOCK + 5):  # resumed, then over the end of the block
        resumed = islice(stream(task, 6, 7, start), 2 * BLOCK - start)
        assert all(same(batch, expected) for batch, expected in zip(resumed, run[start:], strict=True))


def test_seeds_steps_and_blocks_differ():
    batches = [sample(MatrixTask(), 4, seed, step) for seed in (0, 1, 2**40) for step in (0, 1, BLOCK, BLOCK + 1)]
    for i, a in enumerate(batches):
        assert not any(torch.equal(a.values, b.values) or torch.equal(a.observed, b.observed) for b in batches[:i])


def test_a_stream_depends_on_seed_and_key_alone():
    def draw(*key: int) -> list[float]:
        return torch.rand(4, generator=generator(*key)).tolist()

    torch.manual_seed(1)
    first = draw(0, 1)
    torch.manual_seed(2)
    assert draw(0, 1) == first
    assert len({tuple(draw(*key)) for key in [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 1), (0, 1, 0)]}) == 7


def test_a_mixture_draws_each_size_equally_often_and_each_step_one():
    sizes = ((5, 5), (7, 7), (9, 9))
    total = 16 * BLOCK
    task = MatrixTask(sizes=sizes, rank=1)
    batches = steps(task, 2, count=total)
    chosen = torch.cat([size_choices(task, seed=0, block=block) for block in range(-(-total // BLOCK))])
    assert [batch.size for batch in batches] == [sizes[at] for at in chosen[:total]]
    for size in sizes:
        count = sum(batch.size == size for batch in batches)
        assert abs(count - total / 3) < 5 * math.sqrt(total * 2 / 9)
    assert all(batch.tokens.shape == (2, batch.size[0] * batch.size[1]) for batch in batches)
    singular = torch.linalg.svdvals(torch.stack([b.values for b in batches if b.size == (9, 9)]).unflatten(-1, (9, 9)))
    assert singular[..., 1].max() <= 4.5 * 0.01 * (1 + 1e-3)


def test_unbounded_factors_may_leave_the_vocabulary():
    with pytest.raises(VocabularyError, match=r"the vocabulary covers -1\.00 to 1\.00"):
        sample(MatrixTask(factors="gaussian", limit=1.0), 256, 0)


def test_a_batch_is_shown_without_its_numbers() -> None:
    assert repr(sample(MatrixTask(sizes=((5, 5),), rank=1), 3, 0)) == (
        "Batch(tokens=int64 [3, 25], values=float32 [3, 25], observed=bool [3, 25], size=(5, 5))"
    )
