from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from abruptlab.config import RunConfig
from abruptlab.errors import RunError
from abruptlab.paper import Findings
from abruptlab.report.changes import changes
from abruptlab.report.seeds import other_seeds
from abruptlab.report.story import SCRUBBED, Story, measure_story, parts_of, told_steps
from abruptlab.run.run import Run
from tests.handmade import averager, copier, handmade_run
from tests.handmade_gpt import gpt_run
from tests.synthetic import CONFIG, END, ONSET, STEPS, make_metrics, make_run


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Story]:
    folder = tmp_path_factory.mktemp("run")
    run = handmade_run(folder, {0: copier(), 750: copier(), 2000: copier(), STEPS: averager("row")})
    return run, measure_story(Findings(run))


def test_a_story_has_all_parts_at_all_steps(told: tuple[Run, Story]) -> None:
    run, story = told
    seen = list(parts_of(run))
    assert story.steps == (0, 750, 2000, STEPS)
    content = story.content
    assert not any("missing" in content[name] for name in seen)
    assert [moment["name"] for moment in content["moments"]] == ["start", "before-drop", "after-drop", "final"]
    assert [moment["at"] for moment in content["moments"]] == [0, 1, 2, 3]
    assert content["attention"]["maps"]["shape"] == [4, 2, 3, 12, 12]
    assert content["attention"]["label"][3][1][0] == "row"
    assert np.shape(content["examples"]["predictions"]) == (4, 2, 4, 3, 4)
    assert np.shape(content["probes"]["targets"][0]["cosine"]) == (4, 3, 3)
    assert np.shape(content["progress"]["attention"]["layers"]) == (2, 4)
    assert len(content["embeddings"]["tokens"]) == 4


def test_the_curves_tell_the_drop(told: tuple[Run, Story]) -> None:
    curves = told[1].content["curves"]
    falls = [line for line in curves["lines"] if line["falls"]]
    assert [line["name"] for line in falls] == ["L_mask, hidden entries"]
    assert curves["step"][0] == 0
    assert curves["step"][-1] == STEPS - 1
    assert abs(curves["drop"]["onset"] - ONSET) < 100
    assert abs(curves["drop"]["end"] - END) < 100
    assert falls[0]["value"][-1] == pytest.approx(0.05 * curves["level"], rel=0.05)
    assert curves["seeds"] is None


def test_changes_are_those_from_the_plateau_to_the_end(told: tuple[Run, Story]) -> None:
    table = {change.what: (change.before, change.after) for change in changes(*told)}
    assert table["heads, of 6, that read the row or the column of an entry"] == ("0", "1")
    before, after = table["L_mask, hidden entries"]
    assert float(after) / float(before) == pytest.approx(0.05, rel=0.1)
    assert len(table) == 6


def test_without_a_drop_there_is_no_before_and_after(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_metrics(onset=9000, end=9500), ())
    assert changes(run, measure_story(Findings(run))) == []


def test_a_part_that_a_run_cannot_give_says_why(tmp_path: Path) -> None:
    story = measure_story(Findings(make_run(tmp_path, make_metrics(), checkpoints=())))
    assert story.steps == ()
    assert story.content["attention"] == {"missing": "the run has no checkpoint yet"}
    one_row = replace(CONFIG, task=replace(CONFIG.matrices, sizes=((1, 4),)))
    (tmp_path / "row").mkdir()
    narrow = measure_story(Findings(make_run(tmp_path / "row", make_metrics(), (0, STEPS), one_row))).content
    assert "takes 2 rows" in narrow["embeddings"]["missing"]
    assert "missing" not in narrow["attention"]


def test_a_decoder_tells_its_attention(tmp_path: Path) -> None:
    story = measure_story(Findings(gpt_run(tmp_path)))
    attention = story.content["attention"]
    assert attention["label"][0][0] == ["–"]
    assert attention["label"][-1][0] == ["copying"]
    assert "nats" in story.content["curves"]["unit"]
    assert [grid["start"] for grid in attention["grids"]] == [0, 25, 26]
    assert "examples" not in story.content


def test_a_run_without_steps_has_no_story(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no metrics yet"):
        measure_story(Findings(make_run(tmp_path, {name: np.array([]) for name in make_metrics()})))


def test_of_many_checkpoints_some_are_told_with_all_milestones(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_metrics(), range(0, STEPS + 1, 50))
    steps = told_steps(run)
    assert SCRUBBED <= len(steps) <= SCRUBBED + len(run.milestones)
    assert {*run.milestones.values()} <= {*steps}
    assert list(steps) == sorted(steps)
    assert max(np.diff(steps)) < 2 * STEPS / SCRUBBED + 50


def config(seed: int = 0, **changes: object) -> RunConfig:
    return replace(CONFIG, seed=seed, **changes)


def make(folder: Path, config: RunConfig, checkpoints: tuple[int, ...] = (STEPS,), final: float = 0.05) -> Run:
    folder.mkdir()
    return make_run(folder, make_metrics(final=final), checkpoints, config)


def test_other_seeds_are_the_finished_runs_beside_it_that_differ_in_the_seed_alone(tmp_path: Path) -> None:
    run = make(tmp_path / "run", config())
    make(tmp_path / "other", config(1, name="another"), final=0.1)
    make(tmp_path / "unfinished", config(2), (0,))
    make(tmp_path / "wider", config(3, model=replace(CONFIG.model, width=32)))
    make(tmp_path / "twin", config())
    (make(tmp_path / "cut", config(4)).folder / "metrics.jsonl").write_text("")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "config.toml").write_text("no configuration")
    assert [other.folder.name for other in other_seeds(run)] == ["other"]
    band = measure_story(Findings(run)).content["curves"]["seeds"]
    assert band["count"] == 2
    assert band["high"][-1] / band["low"][-1] == pytest.approx(2, rel=0.05)
