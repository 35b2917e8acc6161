"""Where heads look at a glance, on heads that look where they are told to."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from abruptlab.errors import CheckpointError
from abruptlab.experiments.attention import NO_LABEL
from abruptlab.experiments.glance import AROUND, BLOCKS, REACH, USEFUL, around_the_query, in_blocks, measure_glance
from abruptlab.experiments.progress import measure_progress
from tests.handmade import CONFIG, SHARP, attend, copier, handmade_run
from tests.handmade_gpt import gpt_run


def test_the_pictures_of_a_row_a_column_and_a_place(tmp_path: Path) -> None:
    model = copier()
    for head, where in enumerate(("row", "column", "place")):
        attend(model, 0, head, where)
    run = handmade_run(tmp_path, {7: model})
    glance = measure_glance(run, 7, matrices=4)
    rows, columns = CONFIG.matrices.sizes[0]
    size = (2 * rows - 1, 2 * columns - 1)
    row, column, place = np.zeros(size), np.zeros(size), np.zeros(size)
    row[rows - 1], column[:, columns - 1], place[rows - 1, columns - 1] = 1 / columns, 1 / rows, 1
    np.testing.assert_allclose(glance.pictures[0], [row, column, place], atol=1e-4)
    np.testing.assert_allclose(glance.pictures[1], 1 / (rows * columns), atol=1e-4)  # heads that do nothing
    assert glance.label.tolist() == [["row", "column", "itself"], [NO_LABEL] * 3]
    uniform = np.array([columns, rows, 1]) / (rows * columns)
    np.testing.assert_allclose(glance.score[0], 1 - uniform, atol=1e-4)
    assert (glance.step, glance.shown) == (7, AROUND)
    progress = measure_progress(run, [7], matrices=4)
    assert glance.collapse == pytest.approx(progress.collapse.run.mean[0])
    assert glance.attention == pytest.approx(progress.heads.mean.max() / progress.uniform)
    assert glance.attention > 1.5
    with pytest.raises(CheckpointError, match="no checkpoint 8"):
        measure_glance(run, 8)


def test_a_head_without_a_label_has_its_largest_score(tmp_path: Path) -> None:
    model = copier()
    attend(model, 0, 0, "row")
    with torch.no_grad():  # logits of 0.9: too little for a label
        model.get_submodule("blocks.0.attn.qkv").weight *= 0.9 / SHARP  # pyright: ignore
        model.get_submodule("blocks.0.attn.qkv").weight[: CONFIG.model.width] *= SHARP / 0.9  # pyright: ignore
    glance = measure_glance(handmade_run(tmp_path, {7: model}), 7, matrices=4)
    rows, columns = CONFIG.matrices.sizes[0]
    on_row = columns * math.exp(0.9) / (columns * math.exp(0.9) + (rows - 1) * columns)
    assert glance.label[0, 0] == NO_LABEL
    assert glance.score[0, 0] == pytest.approx(on_row - 1 / rows, abs=1e-4)


def test_the_right_is_right_and_below_is_below() -> None:
    """A map in which every query looks one column to the right and one row down, where there is one."""
    rows, columns = 3, 4
    maps = np.zeros((1, 1, rows * columns, rows * columns))
    for query in range(rows * columns):
        i, j = divmod(query, columns)
        if i + 1 < rows and j + 1 < columns:
            maps[0, 0, query, query + columns + 1] = 1
    picture = around_the_query(maps, (rows, columns))[0, 0]
    assert np.argwhere(picture).tolist() == [[rows, columns]]  # one below and to the right of the middle
    assert picture.max() == 1  # the mean over those that have such a key


def test_far_keys_of_large_matrices_are_left_out() -> None:
    assert around_the_query(np.full((1, 1, 14, 14), 1 / 14), (7, 2)).shape == (1, 1, 2 * REACH + 1, 3)


def test_maps_in_blocks_keep_the_attention() -> None:
    maps = np.random.default_rng(0).random((2, 3, 51, 51))
    maps /= maps.sum(-1, keepdims=True)
    small = in_blocks(maps)
    assert small.shape == (2, 3, 17, 17)
    np.testing.assert_allclose(small.sum(-1), 1)
    np.testing.assert_allclose(small[1, 2, 4, 5], maps[1, 2, 12:15, 15:18].sum(-1).mean())
    np.testing.assert_array_equal(in_blocks(maps[..., :BLOCKS, :BLOCKS]), maps[..., :BLOCKS, :BLOCKS])


def test_a_decoder_is_seen_copying(tmp_path: Path) -> None:
    run = gpt_run(tmp_path)
    glance = measure_glance(run, run.steps[-1], matrices=4)
    assert glance.shown == "query ↓ key → over [prompt, SEP, answer]"
    assert set(glance.label.flat) == {USEFUL}
    assert glance.score.max() > 0.5
