import time
from dataclasses import replace
from pathlib import Path

import pytest

from abruptlab.config import RunConfig
from abruptlab.errors import ConfigError
from abruptlab.presets import preset
from abruptlab.sweep.file import Point, Sweep, SweepConfig
from abruptlab.task.copying import Copy
from abruptlab.task.histogram import Histogram
from tests.synthetic import make_metrics, make_run

TEXT = """
name = "width"
base = "smoke"
seeds = [0, 3]
overrides.training.steps = 8
grid.training.batch = [8, 16]
[[variants]]
label = "narrow"
model = { width = 8, mlp_width = 16 }
[[variants]]
task.factors = "gaussian"
task.limit = 20.0
"""


def write(folder: Path, text: str = TEXT) -> Path:
    path = folder / "sweep.toml"
    path.write_text(text)
    return path


def test_the_runs_are_all_combinations_seed_by_seed(tmp_path: Path) -> None:
    points = SweepConfig.read(write(tmp_path)).points()
    assert [(point.label, point.config.seed) for point in points[:4]] == [
        ("narrow, batch 8", 0),
        ("batch 8, factors gaussian, limit 20.0", 0),
        ("narrow, batch 16", 0),
        ("batch 16, factors gaussian, limit 20.0", 0),
    ]
    assert [point.config.seed for point in points] == [0] * 4 + [3] * 4
    smoke = preset("smoke")
    assert points[2].config == replace(
        smoke,
        name="width",
        model=replace(smoke.model, width=8, mlp_width=16),
        training=replace(smoke.training, steps=8, batch=16),
    )


def test_a_folder_s_name_is_what_defines_the_numbers() -> None:
    point = Point("a", preset("smoke"))
    assert point.key == Point("b", replace(point.config, name="else")).key
    assert point.key != Point("a", replace(point.config, seed=1)).key
    assert Point("a", RunConfig(seed=3)).key == "1391dc1f10fa"  # what runs are found by may never change


@pytest.mark.parametrize(
    "text",
    [
        'name = "a"\nbase = "smoke"\nseeds = [' + ", ".join(map(str, range(200_000))) + "]",
        'name = "a"\nbase = "smoke"\n'
        + "".join(f"grid.training.{name} = {list(range(1, 61))}\n" for name in ("a", "b", "c", "d", "e")),
    ],
)
def test_a_sweep_is_counted_before_it_is_listed(tmp_path: Path, text: str) -> None:
    started = time.process_time()
    with pytest.raises(ConfigError, match=r"expected at most 10,000 runs, got (200,000|777,600,000)"):
        SweepConfig.read(write(tmp_path, text))
    assert time.process_time() - started < 10


@pytest.mark.parametrize("base", ['"a\\u0000b"', '"none.toml"', '"smokey"', '"../mine.toml"'])
def test_a_base_that_is_no_file_is_one_line(tmp_path: Path, base: str) -> None:
    said = r"base: '.*' is neither a file beside this one nor a preset; there are: smoke, "
    with pytest.raises(ConfigError, match=said):
        SweepConfig.read(write(tmp_path, f'name = "a"\nbase = {base}'))


@pytest.mark.parametrize("base", ["config.toml", "sweep.toml"])
def test_a_base_does_not_take_the_place_of_a_file_of_the_folder(tmp_path: Path, base: str) -> None:
    (tmp_path / base).write_text(preset("smoke").to_toml())
    (tmp_path / "mine.toml").write_text(f'name = "a"\nbase = "{base}"\n')
    with pytest.raises(ConfigError, match=f"mine.toml: base: expected a file of another name .*, got {base}"):
        SweepConfig.read(tmp_path / "mine.toml")


def test_a_base_may_be_a_file_beside_the_sweep(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(preset("smoke").to_toml())
    points = SweepConfig.read(write(tmp_path, 'name = "one"\nbase = "mine.toml"')).points(tmp_path)
    assert [(point.label, point.config) for point in points] == [("mine.toml", replace(preset("smoke"), name="one"))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 1", "name: expected a text in quotes, got 1"),
        ('name = "x"', "base: expected a value, got none"),
        ('name = "x"\nbase = "smoke"\nseed = [0]', "unknown field seed; .* did you mean seeds"),
        ('name = "x"\nbas = "smoke"', "unknown field bas; there are: name, base, .*; did you mean base"),
        (TEXT + "[[variant]]\n", "unknown field variant; .* did you mean variants"),
        (TEXT.replace("[0, 3]", "3"), "seeds: expected a list, got 3"),
        (
            TEXT.replace("label", "labl"),
            "variants: unknown field labl; there are: family, .* you mean label",
        ),
        (TEXT.replace("label", "naem"), r"variants: unknown field naem; there are: (?!.*\b(name|seed)\b)family, "),
        (
            TEXT.replace("width = 8", "widht = 8"),
            "run 'narrow, batch 8': unknown field .*; did you mean model.width",
        ),
        (
            TEXT.replace("training.steps", "training.step"),
            "unknown field training.step; .* did you mean training.steps",
        ),
        (TEXT.replace("training.steps", "training.steps.more"), "no field training.steps.more"),
        (TEXT.replace("[8, 16]", "8"), r"grid.training.batch: expected a list of values, got 8"),
        (TEXT.replace("[8, 16]", "[8, 8]"), r"runs 'narrow, batch 8' and 'narrow, batch 8' with seed 0 are the same"),
        (TEXT + "training.batch = 4\n", r"are the same: the variant's own training.batch goes before the grid's"),
        (TEXT.replace("[8, 16]", "[8, 0]"), "batch: expected at least 1, got 0"),
        (TEXT.replace("[8, 16]", "[]"), "grid.training.batch: expected at least one value, got none"),
        (TEXT + "seed = 7\n", "seed: expected none in overrides, grid and variants, as the sweep has its own"),
        (TEXT.replace("training.batch", "seed"), "seed: expected none in overrides, grid and variants"),
        (TEXT.replace("training.steps = 8", "name = 'y'"), "name: expected none in overrides, grid and variants"),
        (
            'name = "x"\nbase = "smoke"\n[[variants]]\nlabel = "a"\nmodel.width = 32\n[[variants]]\nlabel = "a"\n',
            "two runs with seed 0 are called 'a': give each variant a label of its own",
        ),
        (TEXT + "seeds = [1]\n", r"variants: expected seeds above the first \[\[variants\]\]"),
        (TEXT.replace("[0, 3]", "[]"), "seeds: expected at least one, got none"),
        ('name = "x"\nbase = "smoke"\n[variants]\nmodel.width = 8', r"variants: expected \[\[variants\]\] above each"),
        ('name = "x"\nbase = "smoke"\nsteps = 8', "unknown field steps; .* did you mean overrides.training.steps"),
        (
            'name = "x"\nbase = "smoke"\noverrides.model.width = [8, 16]',
            r"model.width: expected one value, got \[8, 16\]; several, for a run each, go under \[grid\]",
        ),
        ('name = "x"\nbase = "smoke"\nseeds = ["0", "1"]', "seeds: expected a number, got '0'"),
        ('name = "x"\nbase = "smoke"\n[[variants]]\nlabel = ["a"]', r"label: expected a text, got \['a'\]"),
        (
            'name = "x"\nbase = "smoke"\n[[variants]]\n"model.width" = 48\nmodel = { width = 32 }',
            "model.width: expected once, got it twice",
        ),
        ("name = ", "is not TOML"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        SweepConfig.read(write(tmp_path, text))
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_folder_has_the_finished_runs_by_label(tmp_path: Path) -> None:
    write(tmp_path)
    sweep = Sweep(tmp_path)
    for point, checkpoints in ((sweep.points[0], (0, 8)), (sweep.points[1], (0,)), (sweep.points[4], (8,))):
        (tmp_path / point.key).mkdir()
        make_run(tmp_path / point.key, make_metrics(steps=8), checkpoints, point.config)
    runs = sweep.runs()
    assert list(runs) == [point.label for point in sweep.points[:4]]
    assert [[run.config.seed for run in of_label] for of_label in runs.values()] == [[0, 3], [], [], []]


def test_each_seed_starts_from_a_run_of_its_own(tmp_path: Path) -> None:
    start = '[[variants]]\nstart = { run = "runs/first-seed{seed}", taken = ["mlp"] }\n'
    points = SweepConfig.read(write(tmp_path, f'name = "x"\nbase = "smoke"\nseeds = [1, 4]\n{start}')).points()
    assert [point.config.start.run for point in points] == ["runs/first-seed1", "runs/first-seed4"]
    assert len({point.label for point in points}) == 1


def test_a_task_of_another_kind_starts_from_its_own_sizes(tmp_path: Path) -> None:
    tasks = '[[variants]]\ntask.kind = "histogram"\n[[variants]]\ntask = { kind = "copy", length = 4 }\n'
    text = f'name = "x"\nbase = "window-sum"\noverrides.training.steps = 8\n{tasks}'
    points = SweepConfig.read(write(tmp_path, text)).points()
    assert [point.config.task for point in points] == [Histogram(), Copy(length=4)]
    bad = text.replace("length = 4", "window = 4")
    with pytest.raises(ConfigError, match=r"run .*: task.window: there is no such field; .*|unknown field task.window"):
        SweepConfig.read(write(tmp_path, bad))


FAMILIES = """
name = "changes"
base = "smoke"
[[variants]]
family = "width"
label = "32"
model.width = 32
[[variants]]
family = "depth"
label = "2"
model.layers = 2
[[variants]]
family = "depth"
label = "4"
model.layers = 4
"""


def test_families_share_labels_and_runs(tmp_path: Path) -> None:
    same = f'[[variants]]\nfamily = "width"\nlabel = "4"\nmodel.layers = {preset("smoke").model.layers}\n'
    write(tmp_path, FAMILIES.replace("layers = 4", f"layers = {preset('smoke').model.layers}") + same)
    sweep = Sweep(tmp_path)
    assert sweep.families == ["width", "depth"]
    base = sweep.points[-1]
    (tmp_path / base.key).mkdir()
    make_run(tmp_path / base.key, make_metrics(steps=60), (60,), base.config)
    for family, labels in (("width", ["32", "4"]), ("depth", ["2", "4"])):
        assert list(sweep.runs(family)) == labels
        assert [run.folder.name for run in sweep.runs(family)["4"]] == [base.key]
    with pytest.raises(ConfigError, match="the sweep has no family 'size'; there are: width, depth"):
        sweep.runs("size")


def test_no_sweep_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*sweep\.toml"):
        Sweep(tmp_path)


def test_tables_in_a_grid_change_single_fields_and_labels_may_be_numbers(tmp_path: Path) -> None:
    text = 'name = "x"\nbase = "smoke"\ngrid.model = [{ width = 32 }, { width = 48 }]\n'
    points = SweepConfig.read(write(tmp_path, text)).points()
    smoke = preset("smoke")
    assert [point.config.model for point in points] == [replace(smoke.model, width=width) for width in (32, 48)]
    assert [point.label for point in points] == ["width 32", "width 48"]
    text = 'name = "x"\nbase = "smoke"\n' + "".join(
        f"[[variants]]\nlabel = {n}\nmodel.layers = {n + 1}\n" for n in (0, 1)
    )
    assert [point.label for point in SweepConfig.read(write(tmp_path, text)).points()] == ["0", "1"]
