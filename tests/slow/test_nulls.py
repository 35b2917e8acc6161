"""No claim says anything of random weights, and every claim's null fails its bound, on the weights of the package."""

import shutil
from pathlib import Path

import pytest
import torch

from abruptlab.model.build import new_model
from abruptlab.paper import CLAIMS, Findings, judge
from abruptlab.run.checkpoints import save_checkpoint
from abruptlab.run.pretrained import pretrained_run
from abruptlab.run.run import Run
from abruptlab.task.counter import generator

INSIDE = {
    name: claim for name, claim in CLAIMS.items() if not claim.sweep and not claim.curve and claim.kind == "encoder"
}


@pytest.mark.parametrize("name", ["laptop", "pocket"])
def test_every_null_fails_its_bound(name: str) -> None:
    verdicts = judge(Findings(pretrained_run(name)))
    assert {verdict.id: verdict.passing for verdict in verdicts if verdict.passing} == {}


def test_random_weights_beside_a_real_curve_hold_no_claim_about_the_inside(tmp_path: Path) -> None:
    shipped = pretrained_run("laptop")
    for file in ("config.toml", "metrics.jsonl"):
        shutil.copy(shipped.folder / file, tmp_path / file)
    for step in shipped.steps:
        model = new_model(shipped.config)
        model.initialise(generator(17, step))
        save_checkpoint(tmp_path / "checkpoints", step, model.state_dict(), {}, {"torch": torch.__version__})
    moving = {
        name: claim for name, claim in CLAIMS.items() if name.endswith("-moves-first")
    }  # these need the curve, too
    verdicts = judge(Findings(Run(tmp_path)), INSIDE | moving)
    assert {verdict.id: verdict.number for verdict in verdicts if verdict.held} == {}
