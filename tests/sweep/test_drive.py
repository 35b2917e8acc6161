"""What is trained, what is left alone, and what is said of it; the runs are trained in this process."""

import json
import os
import shlex
import shutil
import signal
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from abruptlab.errors import ConfigError, RunError
from abruptlab.run.checkpoints import delete_checkpoint, saved_steps
from abruptlab.run.run import Run
from abruptlab.sweep import RunState, prepare, run_sweep, seconds_left
from abruptlab.sweep.claims import Claims
from abruptlab.sweep.file import SHIPPED, Point, Sweep, SweepConfig, find_sweep
from abruptlab.sweep.state import read_state
from abruptlab.sweep.worker import Job, work
from abruptlab.training.loop import train
from tests.synthetic import CONFIG, make_metrics, make_run

TEXT = """
name = "changes"
base = "smoke"
overrides.training.steps = 6
[[variants]]
family = "width"
label = "16"
[[variants]]
family = "width"
label = "32"
model.width = 32
[[variants]]
family = "depth"
label = "1"
[[variants]]
family = "rate"
label = "huge"
training = { optimizer = "sgd", learning_rate = 1e30 }
[[variants]]
family = "start"
label = "nowhere"
start = { run = "none", trained = ["mlp"] }
"""
GOOD = TEXT.partition('[[variants]]\nfamily = "rate"')[0]


class Inline:
    """Workers that train a run when they are asked what has finished; some die instead, as kill -9 makes them."""

    def __init__(self, *, dies: Callable[[Job], bool] = lambda job: False) -> None:
        self.jobs: deque[Job] = deque()
        self.trained: list[str] = []
        self._dies = dies

    @property
    def room(self) -> int:
        return 1 - len(self.jobs)

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def finished(self) -> list[tuple[Job, str]]:
        if not self.jobs:
            return []
        job = self.jobs.popleft()
        if self._dies(job):
            return [(job, "its process was killed by SIGKILL")]
        work(job)
        self.trained.append(job.folder.name)
        return [(job, "")]

    def stop(self) -> None:
        self.jobs.clear()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abruptlab.sweep.drive.POLL_S", 0.0)
    monkeypatch.setattr("abruptlab.sweep.drive.PATIENCE_S", 0.5)


def make(folder: Path, text: str = TEXT) -> Sweep:
    (folder / "changes.toml").write_text(text)
    return prepare(folder / "changes.toml", folder / "sweep")


def index(sweep: Sweep) -> list[dict]:
    return json.loads((sweep.folder / "index.json").read_text())


def test_every_run_is_trained_once_and_failures_stop_no_other(tmp_path: Path) -> None:
    sweep, workers = make(tmp_path), Inline()
    states = run_sweep(sweep, workers, device="cpu")
    assert workers.trained == list(dict.fromkeys(point.key for point in sweep.points))  # width 16 is depth 1
    assert [(state.name, state.state, state.step) for state in states] == [
        ("width 16 seed 0", "done", 6),
        ("width 32 seed 0", "done", 6),
        ("depth 1 seed 0", "done", 6),
        ("rate huge seed 0", "failed", 1),
        ("start nowhere seed 0", "failed", 0),
    ]
    assert states[3].error.startswith("the loss is ")
    assert "none is neither a run folder nor a run of the package" in states[4].error
    rows = index(sweep)
    assert [row["state"] for row in rows] == [state.state for state in states]
    assert [row["error"] for row in rows] == [state.error or None for state in states]
    assert rows[0] == rows[2] | {"family": "width", "label": "16"}
    (run,) = sweep.runs("width")["32"]
    assert rows[1]["loss_masked"] == pytest.approx(run.metrics["loss_masked"].mean(), abs=1e-7)
    straight = train(sweep.points[1].config, tmp_path / "straight", device="cpu")
    np.testing.assert_array_equal(run.metrics["loss"], straight.metrics["loss"])


def test_called_again_only_what_is_not_done_is_tried(tmp_path: Path) -> None:
    sweep = make(tmp_path)
    assert [state.state for state in run_sweep(sweep, Inline(), only=["width"], device="cpu")] == ["done", "done"]
    assert [row["state"] for row in index(sweep)] == ["done", "done", "done", "waiting", "waiting"]
    for _ in range(2):  # the failed ones are tried again
        workers = Inline()
        run_sweep(sweep, workers, device="cpu")
        assert workers.trained == [point.key for point in sweep.points[3:]]


def test_a_death_is_reported_and_the_run_gone_on_with(tmp_path: Path) -> None:
    sweep = make(tmp_path, GOOD)
    wide = sweep.points[1]
    first = run_sweep(sweep, Inline(dies=lambda job: job.folder.name == wide.key), device="cpu")
    assert [(state.state, state.error) for state in first[:2]] == [
        ("done", ""),
        ("failed", "its process was killed by SIGKILL"),
    ]
    workers = Inline()
    second = run_sweep(sweep, workers, device="cpu")
    assert workers.trained == [wide.key]
    assert {state.state for state in second} == {"done"}


DAMAGE: list[Callable[[Path], object]] = [
    lambda run: (run / "metrics.jsonl").write_text(""),
    lambda run: (run / "metrics.jsonl").write_text("nonsense\n"),
    lambda run: (run / "metrics.jsonl").write_text("[1]\n"),
    lambda run: (run / "config.toml").write_text("[task\n"),
    lambda run: (run / "config.toml").write_text((run / "config.toml").read_text().replace("seed = 0", "seed = 9")),
    lambda run: (run / "checkpoints" / "step_000006" / "meta.json").write_text("[]"),
]


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("finished", [True, False])
def test_a_damaged_run_stops_no_other(tmp_path: Path, damage: Callable[[Path], object], finished: bool) -> None:
    sweep = make(tmp_path, GOOD)
    first, second = sweep.points[:2]
    train(first.config, sweep.folder / first.key, device="cpu")
    if not finished:
        shutil.move(sweep.folder / first.key / "checkpoints" / "step_000006", tmp_path / "step_000006")
        shutil.copytree(tmp_path / "step_000006", sweep.folder / first.key / "checkpoints" / "step_000006")
        shutil.rmtree(sweep.folder / first.key / "checkpoints" / "step_000004")
    damage(sweep.folder / first.key)
    states = {state.point.key: state for state in run_sweep(sweep, Inline(), device="cpu", only=["width"])}
    assert states[second.key].state == "done"
    assert states[first.key].state in ("failed", "done")  # the last checkpoint may be made again
    assert [row["state"] for row in index(sweep)][:2] == [states[first.key].state, "done"]
    if states[first.key].state == "failed":
        assert states[first.key].error.count("\n") == 0


def test_a_finished_run_that_lost_a_row_is_mended(tmp_path: Path) -> None:
    sweep = make(tmp_path, GOOD)
    first = run_sweep(sweep, Inline(), device="cpu")[0]
    metrics = sweep.folder / first.point.key / "metrics.jsonl"
    whole = metrics.read_text()
    metrics.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    workers, said = Inline(), set[str]()

    def note(states: list[RunState], running: set[str], mine: set[str]) -> None:
        said.update(state.state for state in states)

    assert run_sweep(sweep, workers, device="cpu", report=note)[0].state == "done"
    assert workers.trained == [first.point.key]
    assert "failed" not in said
    assert [json.loads(row)["loss"] for row in metrics.read_text().splitlines()] == [
        json.loads(row)["loss"] for row in whole.splitlines()
    ]


def test_a_node_needs_the_sweep_s_folder_alone(tmp_path: Path) -> None:
    point = make(tmp_path, GOOD).points[0]
    job = Job(point.config, tmp_path / point.key, tmp_path / "not on this node", "cpu", threads=1)
    work(job)
    assert Run(job.folder).finished


LEFT = [[".sweep.toml.tmp"], ["mine.toml", ".sweep.toml.0a1b2c3d.tmp"], [".mine.toml.tmp", ".lock"]]


@pytest.mark.parametrize("left", LEFT)
def test_a_kill_at_the_very_start_leaves_no_dead_folder(tmp_path: Path, left: list[str]) -> None:
    (tmp_path / "mine.toml").write_text(CONFIG.to_toml())
    (tmp_path / "sweep").mkdir()
    for name in left:
        whole = CONFIG.to_toml() if name == "mine.toml" else "name = "
        (tmp_path / "sweep" / name).write_text(whole)
    sweep = make(tmp_path, 'name = "one"\nbase = "mine.toml"\n')
    assert len(sweep.points) == 1
    assert not list(sweep.folder.glob(".*.tmp"))


def test_an_interrupt_leaves_the_rest_for_later(tmp_path: Path) -> None:
    sweep, workers = make(tmp_path, GOOD), Inline()
    (sweep.folder / f"{sweep.points[1].key}.error").write_text("it failed the last time\n")
    with pytest.raises(KeyboardInterrupt):
        run_sweep(
            sweep, workers, device="cpu", report=lambda states, running, mine: os.kill(os.getpid(), signal.SIGINT)
        )
    assert not workers.jobs  # told to stop
    assert [row["state"] for row in index(sweep)] == ["done", "waiting", "done"]


def test_a_sweep_may_grow_but_another_one_is_refused(tmp_path: Path) -> None:
    sweep = make(tmp_path, GOOD)
    run_sweep(sweep, Inline(), device="cpu")
    more = make(tmp_path, "seeds = [0, 1]\n" + GOOD)
    workers = Inline()
    run_sweep(more, workers, device="cpu")
    assert workers.trained == [point.key for point in more.points[3:5]]
    before = (sweep.folder / "sweep.toml").read_text()
    with pytest.raises(RunError, match=r"sweep holds a run, [0-9a-f]{12}, that .*changes.toml does not have"):
        make(tmp_path, GOOD.replace("steps = 6", "steps = 7"))
    assert (sweep.folder / "sweep.toml").read_text() == before


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "thesis.tex").touch()
    with pytest.raises(RunError, match="not empty and holds no sweep"):
        make(tmp_path)


@pytest.mark.parametrize("name", ["sweep.toml", "mine.toml"])
def test_a_file_of_the_same_name_is_not_written_over(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine.toml").write_text(CONFIG.to_toml())
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / name).write_text("# two hours of thought\n")
    with pytest.raises(RunError, match=f"{name} is there already, and is another file; choose another folder"):
        make(tmp_path, 'name = "one"\nbase = "mine.toml"\n')
    assert {path.name: path.read_text() for path in (tmp_path / "sweep").iterdir()} == {
        name: "# two hours of thought\n"
    }


def test_a_sweep_may_grow_before_it_is_run_and_its_base_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "common.toml").write_text(CONFIG.to_toml())
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "mine.toml").symlink_to(tmp_path / "common.toml")
    text = 'name = "one"\nbase = "mine.toml"\n'
    (tmp_path / "sweep" / "sweep.toml").write_text(text)
    assert len(prepare(tmp_path / "sweep" / "sweep.toml", tmp_path / "sweep").points) == 1
    (tmp_path / "mine.toml").write_text(CONFIG.to_toml())
    assert len(make(tmp_path, text + "seeds = [0, 1]\n").points) == 2
    assert (tmp_path / "sweep" / "mine.toml").is_symlink()


def test_a_base_file_moves_with_the_sweep(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(CONFIG.to_toml())
    sweep = make(tmp_path, 'name = "one"\nbase = "mine.toml"\n')
    (tmp_path / "mine.toml").unlink()
    assert Sweep(sweep.folder).points[0].config == replace(CONFIG, name="one")


def test_two_drivers_share_a_sweep_and_each_takes_what_nobody_has(tmp_path: Path) -> None:
    sweep, other = make(tmp_path, GOOD), Inline()

    class Slow(Inline):
        """While it has the first run in hand, the other driver goes through the sweep."""

        def finished(self) -> list[tuple[Job, str]]:
            if self.jobs and not self.trained:
                states = run_sweep(sweep, other, device="cpu")
                assert [state.state for state in states] == ["waiting", "done", "waiting"]  # the first is also the last
            return super().finished()

    workers = Slow()
    states = run_sweep(sweep, workers, device="cpu")
    assert [state.state for state in states] == ["done"] * 3
    assert workers.trained == [sweep.points[0].key]
    assert other.trained == [sweep.points[1].key]
    assert [row["state"] for row in index(sweep)] == ["done"] * 3


def test_a_failure_elsewhere_is_not_tried_again_here(tmp_path: Path) -> None:
    sweep, other = make(tmp_path), Inline()

    class Slow(Inline):
        def finished(self) -> list[tuple[Job, str]]:
            if self.jobs and not self.trained:
                run_sweep(sweep, other, device="cpu")
            return super().finished()

    workers = Slow()
    states = run_sweep(sweep, workers, device="cpu")
    assert [state.state for state in states] == ["done", "done", "done", "failed", "failed"]
    assert workers.trained == [sweep.points[0].key]


def test_a_driver_waits_for_a_claim_that_nobody_works_on(tmp_path: Path) -> None:
    """A process that was killed may hold its locks for a while, on a network file system."""
    sweep, workers = make(tmp_path, GOOD), Inline()
    dead = Claims(sweep.folder)
    with dead:
        assert dead.take(sweep.points[0].key)
        calls = 0

        def report(states: list[RunState], running: set[str], mine: set[str]) -> None:
            nonlocal calls
            calls += 1
            if calls == 10:
                dead.release(sweep.points[0].key)

        states = run_sweep(sweep, workers, device="cpu", report=report)
    assert [state.state for state in states] == ["done"] * 3
    assert workers.trained == [sweep.points[1].key, sweep.points[0].key]
    assert calls >= 10


def test_a_family_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the sweep has no family 'size'; there are: width, depth"):
        run_sweep(make(tmp_path, GOOD), Inline(), only=["size"])


def test_the_drop_of_a_run_is_in_the_index(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(CONFIG.to_toml())
    sweep = make(tmp_path, 'name = "one"\nbase = "mine.toml"\n')
    (sweep.folder / sweep.points[0].key).mkdir()
    run = make_run(sweep.folder / sweep.points[0].key, make_metrics(), config=sweep.points[0].config)
    run_sweep(sweep, Inline())
    assert run.drop is not None
    assert (index(sweep)[0]["drop_onset"], index(sweep)[0]["drop_end"]) == (run.drop.onset, run.drop.end)


def test_a_step_that_hides_nothing_leaves_the_means_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(CONFIG.to_toml())
    sweep = make(tmp_path, 'name = "one"\nbase = "mine.toml"\nseeds = [0, 1]\n')
    for point, unknown in zip(sweep.points, (-1, slice(None)), strict=True):
        metrics = make_metrics()
        metrics["loss_masked"][unknown] = np.nan
        (sweep.folder / point.key).mkdir()
        make_run(sweep.folder / point.key, metrics, config=point.config)
    run_sweep(sweep, Inline())
    some, none = (row["loss_masked"] for row in index(sweep))
    assert 0 < some < 1
    assert none is None


def test_the_state_of_a_run_that_was_killed(tmp_path: Path) -> None:
    """Its last row is half a line, and says nothing."""
    point = make(tmp_path, GOOD).points[0]
    (tmp_path / point.key).mkdir()
    metrics = make_metrics(steps=5)
    make_run(tmp_path / point.key, metrics, (0,), point.config)
    with (tmp_path / point.key / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')
    state = read_state(tmp_path / point.key, point)
    assert (state.state, state.step, state.falling) == ("begun", 5, metrics["loss_masked"][4])


def test_a_checkpoint_that_goes_meanwhile_does_not_stop_who_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, training=replace(CONFIG.training, steps=4000))
    run = make_run(tmp_path, make_metrics(steps=2000), (0, 1000, 2000), config)
    look = Path.iterdir

    def deleted_meanwhile(path: Path) -> Iterator[Path]:
        if path.name == "step_001000" and path.exists():
            delete_checkpoint(run.checkpoints, 1000)
        return look(path)

    monkeypatch.setattr(Path, "iterdir", deleted_meanwhile)
    assert read_state(tmp_path, Point("", config)).step == 2000
    assert saved_steps(run.checkpoints) == [0, 2000]


def test_a_variant_takes_as_long_as_at_other_seeds(tmp_path: Path) -> None:
    narrow, wide = make(tmp_path, GOOD).points[:2]
    again = replace(wide, config=replace(wide.config, seed=1))
    states = [RunState(narrow, "done", 6, 6.0), RunState(wide, "done", 6, 60.0), RunState(again, "waiting")]
    assert seconds_left(states, 1) == pytest.approx(60)


def test_the_time_left(tmp_path: Path) -> None:
    point = make(tmp_path, GOOD).points[0]
    one, two, three = (replace(point, config=replace(point.config, seed=seed)) for seed in range(3))
    for state in (one, two, three):
        assert state.config.training.steps == 6
    assert seconds_left([RunState(one, "waiting")], 1) is None
    assert seconds_left([RunState(one, "done", 6, 60.0)], 0) == 0
    states = [RunState(one, "done", 6, 60.0), RunState(two, "begun", 2, 40.0), RunState(three, "waiting")]
    assert seconds_left(states, 1) == pytest.approx(4 * 20 + 6 * 100 / 8)
    assert seconds_left(states, 2) == pytest.approx(80)  # the slow one alone takes so long
    assert seconds_left([RunState(one, "done", 6, 60.0), RunState(two, "begun", 1, 1.0)], 1) == pytest.approx(50)


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.toml")), ids=lambda file: file.stem)
def test_the_package_s_sweeps_are_found_by_name_and_make_sense(file: Path) -> None:
    assert find_sweep(file.stem) == file
    of_another_size = file.stem.removesuffix("-paper").removesuffix("-base")
    expected = "causal-laptop" if file.stem == "causal-base" else of_another_size  # whose claims it is judged by
    assert SweepConfig.read(file).name == expected


def test_a_sweep_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"nowhere is neither a sweep's file nor a sweep of the package; .*smoke"):
        find_sweep("nowhere")


def test_a_sweeps_folder_says_how_to_go_on_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "my sweep"
    folder.mkdir()
    (folder / "sweep.toml").touch()
    with pytest.raises(ConfigError) as caught:
        find_sweep(str(folder))
    command = str(caught.value).partition("to go on with it: ")[2]
    assert shlex.split(command) == ["abruptlab", "sweep", f"{folder}/sweep.toml", "--out", str(folder)]
