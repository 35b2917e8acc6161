"""Pivots, for methods that need a row, or no line in particular."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from abruptlab.experiments import pivots
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.pivots import METHODS, measure_pivots
from abruptlab.figures.pivots import draw_pivots
from abruptlab.paper import CLAIMS, Findings, judge
from abruptlab.run.run import Run
from abruptlab.task.vocabulary import MASK
from tests.handmade import COLUMNS, ROWS, copier, handmade_run
from tests.synthetic import STEPS

MATRICES = 64


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return handmade_run(tmp_path, dict.fromkeys((0, STEPS), copier()))


@pytest.fixture
def by_the_first_row(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine tenths of the truth, where the first row has anything to see; else what is observed, and 0."""
    batch = held_out(run, MATRICES)

    def predict(model: object, tokens: Tensor) -> Tensor:
        sees = (tokens[:, :COLUMNS] != MASK).any(1, keepdim=True)
        return torch.where(tokens != MASK, batch.values, 0.9 * sees * batch.values)

    monkeypatch.setattr(pivots, "predict", predict)


@pytest.mark.usefixtures("by_the_first_row")
def test_a_row_that_all_is_completed_by(run: Run) -> None:
    found = measure_pivots(run, matrices=MATRICES)
    bert = METHODS.index("BERT")
    assert found.rows[bert, 0] == pytest.approx(1, abs=0.05)
    assert found.rows[bert, 1:] == pytest.approx(np.zeros(ROWS - 1), abs=1e-6)
    assert found.columns[bert] == pytest.approx(np.zeros(COLUMNS), abs=0.2)  # few are left without it in the first row
    assert found.favour(bert) == pytest.approx(1, abs=0.05)
    assert found.favour(1 - bert) < 0.5 * found.favour(bert)
    [verdict] = judge(Findings(run, matrices=MATRICES), {"completes-by-pivots": CLAIMS["completes-by-pivots"]})
    assert verdict.numbers[0] == pytest.approx(found.favour(bert), rel=1e-3)
    assert verdict.within == (True,)
    rows, columns = draw_pivots(found).axes
    assert (len(rows.patches), len(columns.patches)) == (2 * ROWS, 2 * COLUMNS)


def test_a_model_that_completes_nothing_has_none(run: Run) -> None:
    found = measure_pivots(run, matrices=MATRICES)
    assert found.intact[0] == pytest.approx(1)
    [verdict] = judge(Findings(run, matrices=MATRICES), {"completes-by-pivots": CLAIMS["completes-by-pivots"]})
    assert verdict.numbers == (None,)
