"""The copying check, on a model that copies and on one that completes."""

from pathlib import Path

import numpy as np
import pytest

from abruptlab.errors import CheckpointError, ConfigError, VocabularyError
from abruptlab.experiments.copying import measure_copying, moments_before
from abruptlab.experiments.held_out import held_out
from abruptlab.paper import TABLES, Findings, make_table
from tests.handmade import FREE, VALUE, attend, carry, copier, handmade_run, read_out
from tests.known import held
from tests.synthetic import ONSET, STEPS

MIDDLE = ("copies-values-middle", "copies-anything-middle", "copies-beside-values-middle")


def test_a_copier_gives_back_every_value(tmp_path: Path) -> None:
    check = measure_copying(handmade_run(tmp_path, dict.fromkeys((0, 100, 420, 1400, STEPS), copier())), matrices=64)
    assert check.step.tolist() == [100] * 6 + [420] * 6 + [1400] * 6
    assert check.moment.tolist() == ["early"] * 6 + ["middle"] * 6 + ["late"] * 6
    assert check.low_rank.tolist() == 3 * ([True] * 3 + [False] * 3)
    np.testing.assert_array_equal(check.value, 6 * [np.nan, 0.44, -0.24])
    np.testing.assert_allclose(check.distance.mean, 0, atol=1e-6)
    np.testing.assert_allclose(check.loss_observed.mean, 0, atol=1e-6)


def test_the_loss_is_that_of_the_value_put_there(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()})
    check = measure_copying(run, ["final"], [0.44], matrices=64, seed=3)
    batch = held_out(run, 64, seed=3)
    expected = [(((value - batch.values) ** 2) * ~batch.observed).mean().item() for value in (0.0, 0.44)]
    np.testing.assert_allclose(check.loss.mean[:2], expected, rtol=1e-3)
    alone = measure_copying(run, "final", [0.44], matrices=64, seed=3)  # a single step, not its letters
    np.testing.assert_array_equal(alone.loss.mean, check.loss.mean)


def test_a_model_that_averages_its_row_copies_nothing(tmp_path: Path) -> None:
    model = copier()
    attend(model, 1, 0, "row")
    carry(model, 1, 0, VALUE, FREE[0])
    read_out(model, FREE[0])
    run = handmade_run(tmp_path, {ONSET // 2: model, ONSET: model, STEPS: copier()})
    assert held(MIDDLE, Findings(run, matrices=64)) == dict.fromkeys(MIDDLE, False)


def test_the_claims_hold_for_a_copier(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {ONSET // 2: copier(), ONSET: copier(), STEPS: copier()})
    assert held(MIDDLE, Findings(run, matrices=64)) == dict.fromkeys(MIDDLE, True)


def test_each_moment_has_the_checkpoint_nearest_to_it_and_none_two(tmp_path: Path) -> None:
    def moments(*steps: int) -> dict[str, int]:
        folder = tmp_path / "-".join(["at", *map(str, steps)])
        folder.mkdir()
        return moments_before(handmade_run(folder, dict.fromkeys((0, *steps, STEPS), copier())))

    assert moments(90, 128, 400, 512, 1300, 1450) == {"early": 90, "middle": 400, "late": 1450}
    assert moments(750) == {"middle": 750}
    with pytest.raises(CheckpointError, match="no checkpoint between its start and its drop"):
        moments()


def test_a_value_without_a_token_is_an_error(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()})
    with pytest.raises(VocabularyError, match=r"1\.50 has no token"):
        measure_copying(run, ["final"], [1.5])
    with pytest.raises(ConfigError, match=r"values: expected numbers of 2 decimals, as tokens are, got \[0.444\]"):
        measure_copying(run, ["final"], [0.444])


def test_the_table_is_written_in_three_formats(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, dict.fromkeys((100, 750, 1400, STEPS), copier()))
    found = Findings(run, tmp_path / "out", matrices=16)
    csv, markdown, latex, made = make_table("1", found, "abruptlab table 1 RUN")
    assert [path.name for path in (csv, markdown, latex, made)] == [
        f"table_1.{e}" for e in ("csv", "md", "tex", "json")
    ]
    columns = TABLES["1"].tabulate(found.of(TABLES["1"].measure)).columns
    lines = csv.read_text().splitlines()
    assert lines[0] == ",".join(columns)
    assert len(lines) == 1 + 18
    assert lines[2].startswith("early,100,low rank,0.44,")
    assert len(markdown.read_text().splitlines()) == 2 + 18
    assert r"\toprule" in latex.read_text()
