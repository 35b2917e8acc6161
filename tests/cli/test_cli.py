"""The command line as a user meets it: exit status, one line for each mistake, nothing lost."""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.context import ForkProcess
from pathlib import Path

import pytest

from abruptlab.cli import main
from abruptlab.cli.printing import plain_console
from abruptlab.cli.sweeping import _Display, _table
from abruptlab.config import RunConfig
from abruptlab.experiments.variants import measure_families
from abruptlab.figures.variants import draw_families
from abruptlab.paper import CLAIMS, FIGURES
from abruptlab.presets import PRESETS, init_std, preset
from abruptlab.run.checkpoints import saved_steps
from abruptlab.run.run import Run
from abruptlab.sweep.state import RunState, read_state
from tests.forks import forked
from tests.synthetic import CONFIG, STEPS, make_metrics, make_run, make_sweep

COMMAND = [sys.executable, "-m", "abruptlab"]


def abruptlab(*arguments: str | Path) -> tuple[int, str]:
    """Run the command in this process; its exit status and what it said if it failed."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        if isinstance(stop.code, str):  # Python prints it on stderr and exits with 1
            return 1, stop.code
        return int(stop.code or 0), ""
    return 0, ""


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "smoke"
    assert abruptlab("train", "smoke", "--out", folder) == (0, "")
    return folder


def test_help_is_light() -> None:
    """`abruptlab --help` answers at once because it imports nothing heavy."""
    script = (
        "import sys; from abruptlab.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'pydantic', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert all(command in shown for command in ("train", "reproduce", "show", "presets", "figure"))


def test_the_shell_completes_commands_and_flags(tmp_path: Path) -> None:
    script = tmp_path / "abruptlab"
    with pytest.raises(SystemExit):
        main(["--tyro-write-completion", "bash", str(script)])

    def completed(*words: str) -> list[str]:
        typed = " ".join(("abruptlab", *words))
        ask = f"source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; _tyro_abruptlab; echo ${{COMPREPLY[@]}}"
        return subprocess.run(["bash", "-c", ask], check=True, capture_output=True, text=True).stdout.split()

    assert completed("exp") == ["export"]
    assert "--learning-rate" in completed("train", "--lear")


def test_presets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert abruptlab("presets") == (0, "")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(PRESETS)


def test_the_paper_preset_is_the_papers() -> None:
    config = preset("paper")
    task = config.matrices
    assert (task.sizes, task.rank, task.factors) == (((7, 7),), 2, "uniform")
    assert (task.mask, task.mask_probability, task.decimals, task.limit) == (
        "random", 0.3, 2, 10.0,
    )  # fmt: skip
    model = config.model
    assert (model.layers, model.heads, model.width, model.mlp_width) == (4, 8, 768, 3072)
    assert (model.init_std, model.mask_embedding) == (0.02, "zero")
    training = config.training
    assert (training.optimizer, training.learning_rate, training.schedule, training.warmup_steps) == (
        "adam", 1e-4, "constant", 0,
    )  # fmt: skip
    assert (training.batch, training.steps, training.weight_decay, training.precision) == (256, 50_000, 0.0, "fp32")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_keep_the_science(name: str) -> None:
    config = preset(name)
    assert config.name == name
    kept = config.model.kind == "decoder" and name != "gpt-laptop"  # of their own sizes
    assert config.model.init_std == (0.02 if kept else init_std(config.model.width))
    assert config.model.mask_embedding == {"encoder": "zero", "decoder": "trained"}[config.model.kind]
    assert (config.training.optimizer, config.training.schedule) == ("adam", "constant")
    if config.task.kind == "matrix":
        task = config.matrices
        assert (task.factors, task.mask, task.mask_probability) == ("uniform", "random", 0.3)


def test_the_gpt_preset_is_the_papers() -> None:
    config = preset("gpt")
    model, paper = config.model, preset("paper")
    assert (model.kind, model.layers, model.heads, model.width, model.mlp_width) == ("decoder", 2, 2, 256, 1024)
    assert (model.attention, model.mask_embedding, config.places) == ("softmax", "trained", 99)
    assert config.task == replace(paper.task, limit=2.0)
    training = replace(paper.training, steps=5000, checkpoint_every=500, rolling_every=20)
    assert config.training == training


def test_progress_says_all_there_is_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert abruptlab("train", "smoke", "--out", tmp_path / "run") == (0, "")
    number = r"[\d.e+-]+"
    line = rf"step 60/60 100% 0:00:00 left  loss {number} L_obs {number} L_mask {number} {number} ms/step"
    assert re.search(line, capsys.readouterr().err)


def test_every_field_is_a_flag(tmp_path: Path) -> None:
    words = ["--seed", "7", "--steps", "2", "--sizes", "2", "3", "4", "4", "--rank", "1", "--compile", "no"]
    assert abruptlab("train", "smoke", "--out", tmp_path / "run", *words) == (0, "")
    config = Run(tmp_path / "run").config
    assert (config.seed, config.training.steps, config.matrices.sizes) == (7, 2, ((2, 3), (4, 4)))


def test_a_run_from_a_file_is_the_run_of_the_preset(smoke: Path, tmp_path: Path) -> None:
    assert abruptlab("train", "--config", smoke / "config.toml", "--out", tmp_path / "run") == (0, "")
    assert (Run(tmp_path / "run").metrics["loss"] == Run(smoke).metrics["loss"]).all()


def test_show(smoke: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert abruptlab("show", smoke) == (0, "")
    shown = capsys.readouterr().out
    assert RunConfig.from_toml(shown.split("\nrun ")[0]) == Run(smoke).config
    assert "60 of 60 steps" in shown
    assert "none found" in shown


def test_show_says_that_the_last_checkpoint_is_gone(
    smoke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(smoke, tmp_path / "run"))
    shutil.rmtree(run / "checkpoints" / "step_000060")
    abruptlab("show", run)
    assert "(that of step 60, the last one, is gone)" in capsys.readouterr().out
    shutil.rmtree(run / "checkpoints")
    abruptlab("show", run)
    assert "checkpoints none (that of step 60, the last one, is gone)" in capsys.readouterr().out


def test_show_says_what_is_damaged(smoke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Path(shutil.copytree(smoke, tmp_path / "run"))
    weights = run / "checkpoints" / "step_000060" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    status, said = abruptlab("show", run)
    assert status == 1
    assert said.startswith(f"abruptlab: {weights} is damaged: expected bytes ")
    assert "60 of 60 steps" in capsys.readouterr().out
    (run / "metrics.jsonl").write_text("nonsense\n")
    status, said = abruptlab("show", run)
    assert status == 1
    assert said.startswith(f"abruptlab: {run / 'metrics.jsonl'} is damaged: line 1: ")
    assert capsys.readouterr().out == ""


def test_a_figure_of_the_package_s_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert abruptlab("figure", "4", "laptop", "--step", "onset", "--matrices", "8", "--out", tmp_path) == (0, "")
    written = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert written == ["figure_4.json", "figure_4.npz", "figure_4.pdf", "figure_4.png"]
    assert [Path(line).name for line in sorted(capsys.readouterr().out.split())] == written


def test_a_table_of_the_package_s_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert abruptlab("table", "1", "laptop", "--matrices", "8", "--out", tmp_path) == (0, "")
    assert (tmp_path / "tables" / "table_1.md").read_text() in capsys.readouterr().out


def test_without_a_place_to_write_the_package_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert abruptlab("table", "1", "laptop", "--matrices", "8") == (0, "")
    assert (tmp_path / "runs" / "laptop-shipped" / "tables" / "table_1.csv").exists()


def test_figures_names_what_a_run_cannot_give(
    smoke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = {name: FIGURES[name] for name in ("1", "2", "3", "4", "8", "11", "12", "22", "pivots")}
    monkeypatch.setattr("abruptlab.paper.FIGURES", some)
    monkeypatch.setattr("abruptlab.figures.save.render", lambda figure, ending: b"drawn")  # which takes seconds
    assert abruptlab("figures", smoke, "--matrices", "32", "--out", tmp_path) == (0, "")
    shown = capsys.readouterr().out
    missing = {name for names in re.findall("^not from this run: (.*?): ", shown, re.M) for name in names.split(", ")}
    for name in (name for name, spec in some.items() if not spec.sweep):
        there = (tmp_path / "figures" / f"figure_{name}.png").exists()
        assert there == (f"figure {name}: {tmp_path}" in shown)
        assert there != (f"figure {name}" in missing)
    assert (tmp_path / "figures" / "figure_4.png").exists()
    assert "table 1" in missing


def test_claims_on_several_runs_are_judged_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (0, 1):
        (folder := tmp_path / f"seed{seed}").mkdir()
        make_run(folder, make_metrics(), (), replace(CONFIG, seed=seed))
    (other := tmp_path / "other").mkdir()
    make_run(other, make_metrics(), (), replace(CONFIG, seed=2, model=replace(CONFIG.model, width=32)))
    devices: list[str | None] = []

    @contextmanager
    def note(device: str | None) -> Iterator[None]:
        devices.append(device)
        yield

    monkeypatch.setattr("abruptlab.system.devices.computing_on", note)
    both = (tmp_path / "seed0", tmp_path / "seed1")
    assert abruptlab("claims", *both, "--out", tmp_path / "both", "--device", "cpu") == (0, "")
    assert devices == ["cpu"]
    of_two = {each["id"]: each for each in json.loads((tmp_path / "both" / "claims.json").read_text())}
    assert (of_two["drop"]["seeds"], len(of_two["drop"]["numbers"])) == ([0, 1], 2)
    assert "holds (2 seeds)" in capsys.readouterr().out
    status, said = abruptlab("claims", *both, "--out", both[0])
    assert (status, "--out: expected no folder of a run, which has claims of its own" in said) == (1, True)
    status, said = abruptlab("claims", *both, other)
    assert (status, "expected runs of one configuration but for the seed" in said) == (1, True)


def test_claims_are_judged_and_written(smoke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert abruptlab("claims", smoke, "--out", tmp_path) == (0, "")
    of_a_run = [name for name, claim in CLAIMS.items() if not claim.sweep]
    assert [verdict["id"] for verdict in json.loads((tmp_path / "claims.json").read_text())] == of_a_run
    shown = capsys.readouterr().out
    assert re.search(r"^not judged, \d+ of \d+: this needs a decoder of matrices, .*:\n  gpt-drop, ", shown, re.M)
    assert shown.count("this needs a decoder of matrices") == 1


def test_a_decoder_s_run_from_training_to_claims(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    small = ["--steps", "4", "--batch", "4", "--width", "16", "--mlp-width", "32"]
    assert abruptlab("reproduce", "gpt-laptop", "--out", run, *small) == (0, "")
    shown = capsys.readouterr()
    assert re.search(r"step 4/4 100% 0:00:00 left  loss [\d.]+ L_prompt [\d.]+ L_obs [\d.e+]+ L_mask [\d.]+", shown.err)
    for name in FIGURES:
        assert (f"figure {name}: {run}" in shown.out) == (name in ("11", "12"))
    why = "this needs an encoder of matrices, and the run has a decoder of matrices"
    assert re.search(rf"^not from this run: .*figure 4, .*table 1, .*: {why}$", shown.out, re.M)
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") == 2
    assert "decoder of 2 layers" in page
    assert abruptlab("show", run) == (0, "")
    assert "4 of 4 steps" in capsys.readouterr().out
    for words in (["ablate"], ["patch", "--layer", "1"], ["switch", "--groups", "mlp", "--source", "0"]):
        assert abruptlab(words[0], run, *words[1:], "--matrices", "8") == (0, "")
        assert "L_prompt" in capsys.readouterr().out  # its own metrics


def test_ablating_every_head_of_the_trained_model_takes_the_completion_away(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert abruptlab("ablate", "laptop", "--with", "zero", "--matrices", "64") == (0, "")
    rows = [line for line in capsys.readouterr().out.splitlines() if "±" in line]
    intact, ablated, _ = (float(row.split("│")[4].split("±")[0]) for row in rows)
    assert intact < 0.03
    assert ablated > 0.05


def test_patching_all_that_enters_a_layer_makes_the_prediction_that_of_x(capsys: pytest.CaptureFixture[str]) -> None:
    assert abruptlab("patch", "laptop", "--site", "blocks.0.resid_mid", "--matrices", "16") == (0, "")
    shown = capsys.readouterr().out
    assert "L_obs 1.000 ± 0.000, L_mask 1.000 ± 0.000" in shown
    rows = [line.split("│")[2:] for line in shown.splitlines() if "±" in line and "│" in line]
    assert rows[0] != rows[1] == rows[2]


def test_switching_everything_gives_the_other_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert abruptlab("switch", "laptop", "--groups", "attention-qkv", "all-but-qkv", "--matrices", "16") == (0, "")
    rows = [line.split("│")[2:] for line in capsys.readouterr().out.splitlines() if "±" in line]
    assert rows[0] != rows[1] == rows[2]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["train", "latop"], r"no preset 'latop'; there are: smoke, pocket, laptop"),
        (["train"], "expected a preset .* or --config FILE"),
        (["train", "--config", "none.toml"], "cannot read none.toml"),
        (["train", "smoke", "--rank", "9"], "rank: expected 1 to 3"),
        (["train", "smoke", "--heads", "3"], r"width: expected a multiple of heads \(3\), got 16"),
        (["train", "smoke", "--device", "abacus"], "device 'abacus': expected one of"),
        (["show", "nowhere"], "nowhere is neither a run folder nor a run of .*; there are: base, laptop, pocket"),
        (["figure", "1", "nowhere"], "nowhere is neither a run folder"),
        (["figure", "3.5", "laptop"], r"no figure '3\.5'; there are: 1, 2, matrices"),
        (["table", "7", "laptop"], "no table '7'; there are: 1"),
        (["figure", "2", "laptop", "--step", "final"], "figure 2 has no --step; of these options it has: none"),
        (["figure", "2", "laptop", "--seed", "1"], "figure 2 has no --seed; of these options it has: none"),
        (["figure", "4", "laptop", "--step", "after"], r"no checkpoint 'after'; there are: start \(0\), before-drop"),
        (["figure", "4", "laptop", "--step", "17"], "no checkpoint 17; there are: 0, "),
        (["figure", "4", "laptop", "--matrices", "1"], "--matrices: expected at least 2, got 1"),
        (["claims", "laptop", "--seed", "-1"], "--seed: expected 0 or more, got -1"),
        (["ablate", "laptop", "--heads", "1"], r"--heads: expected LAYER\.HEAD, such as 2\.1, got '1'"),
        (["ablate", "laptop", "--heads", "9.0"], r"no head 9\.0"),
        (["patch", "laptop"], "expected either --layer NUMBER or --site NAME"),
        (["patch", "laptop", "--layer", "9"], "--layer: expected 1 to 4, got 9"),
        (["patch", "laptop", "--site", "blocks.9.attn.z"], r"no site 'blocks\.9\.attn\.z'; this model has: embed"),
        (["switch", "laptop", "--groups", "brains"], "no group of parameters 'brains'; there are: token-embeddings"),
        (["sweep", "nowhere"], "nowhere is neither a sweep's file nor a sweep of the package; there are: .*smoke"),
        (["sweep", "smoke", "--only", "size"], "the sweep has no family 'size'; there are: width, depth"),
        (["sweep", "smoke", "--jobs", "0"], "--jobs: expected at least 1, got 0"),
        (["sweep", "smoke", "--device", "abacus"], "device 'abacus': expected one of"),
        (["sweep", "smoke", "--gpus-per-run", "1"], "--gpus-per-run: expected with --ray only"),
        (["sweep", "smoke", "--cpus-per-run", "0"], "--cpus-per-run, --gpus-per-run: expected with --ray only"),
        (["sweep", "smoke", "--ray", "auto", "--cpus-per-run", "0"], "--cpus-per-run: expected above 0 and finite"),
        (["sweep", "smoke", "--ray", "auto", "--cpus-per-run", "inf"], "--cpus-per-run: expected above 0 and finite"),
        (["sweep", "smoke", "--ray", "auto", "--gpus-per-run", "nan"], "--gpus-per-run: expected 0 or more, finite"),
        (
            ["sweep", "smoke", "--ray", "auto", "--gpus-per-run", "1.5"],
            "--gpus-per-run: expected a part of one, or",
        ),
        (
            ["sweep", "smoke", "--ray", "auto", "--cpus-per-run", "1e-5"],
            "--cpus-per-run: expected at most four dec",
        ),
        (["sweep", "smoke", "--ray", "auto", "--jobs", "2"], "--jobs: expected without --ray only"),
        (["reproduce", "latop"], "no preset 'latop'"),
        (["sweep", "smoke", "--only"], "--only: expected at least one, got none"),
        (["reproduce", "--only"], "--only: expected together with --everything"),
        (["reproduce", "--everything", "--only"], "--only: expected at least one, got none"),
        (["reproduce", "--only", "laptop"], "--only: expected together with --everything"),
        (
            ["reproduce", "--everything", "--only", "base"],
            "--only: expected some of laptop, gpt-laptop, variants, .*, got base",
        ),
        (["reproduce", "smoke", "--everything"], "--everything: expected no preset, --config, --out or field of a run"),
        (["reproduce", "--everything", "--steps", "3"], "--everything: expected no preset, --config, --out or field"),
        (["paper", "--results", "nowhere"], "no folder of results at nowhere"),
        (
            ["figure", "13", "laptop"],
            r"figure 13 is of the sweep variants \(make it: abruptlab sweep variants\); .* a run$",
        ),
        (["figure", "sweep", "laptop"], r"is of a sweep \(make one: abruptlab sweep FILE\.toml\); .* is a run$"),
        (["table", "variants", "laptop"], r"table variants is of a sweep"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, said = abruptlab(*words)
    assert status == 1
    assert said.startswith("abruptlab: ")
    assert "\n" not in said
    assert re.search(line, said), said
    assert not list(tmp_path.iterdir())  # nothing half made


WIDTHS = """
name = "mine"
base = "base.toml"
[[variants]]
label = "12"
model.width = 12
[[variants]]
label = "16"
"""


def test_a_sweep_is_looked_at_as_a_run_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_sweep(tmp_path, WIDTHS, lambda point: make_metrics(onset=1000 if point.label == "16" else 9 * STEPS))
    assert abruptlab("figures", tmp_path) == (0, "")
    shown = capsys.readouterr().out
    assert f"figure sweep: {tmp_path / 'figures' / 'figure_sweep.png'}" in shown
    assert f"table variants: {tmp_path / 'tables' / 'table_variants.csv'}" in shown
    assert "figure 4" not in shown
    rows = csv.reader((tmp_path / "tables" / "table_variants.csv").read_text().splitlines())
    assert [row[1:4] for row in rows][1:] == [
        ["12", "1 of 1", "0"],
        ["16", "1 of 1", "1"],
    ]
    assert abruptlab("figure", "4", tmp_path)[1].endswith(
        f"figure 4 is of one run, such as those in the sweep's folders; {tmp_path} is the sweep mine"
    )
    assert "figure 13 is of the sweep variants (make it: " in abruptlab("figure", "13", tmp_path)[1]
    for option, value in (("--step", "final"), ("--matrices", "8"), ("--seed", "1")):
        assert f"{option}: expected a run to look at" in abruptlab("figures", tmp_path, option, value)[1]


def test_the_families_of_a_sweep_of_one_s_own_are_drawn_one_below_the_other(tmp_path: Path) -> None:
    [head, *variants] = WIDTHS.split("[[variants]]")
    text = head + "".join(f'[[variants]]\nfamily = "f{at}"{each}' for at, each in enumerate(variants))
    sweep = make_sweep(tmp_path, text, lambda point: make_metrics())
    assert abruptlab("figure", "sweep", tmp_path) == (0, "")
    figure = draw_families(measure_families(sweep))
    assert [part.get_suptitle() for part in figure.subfigs] == ["f0", "f1"]
    assert all(len(part.axes) == 3 for part in figure.subfigs)


@pytest.mark.usefixtures("coarse_pictures")
def test_everything_is_trained_drawn_and_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        'name = "variants"\nbase = "smoke"\noverrides.training.steps = 4\n[[variants]]\nfamily = "rate"\nlabel = "1"\n'
    )
    (tmp_path / "tiny.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("abruptlab.sweep.file.find_sweep", lambda name: tmp_path / "tiny.toml")
    usual = preset("gpt-laptop")
    model, training = replace(usual.model, width=16, mlp_width=32), replace(usual.training, steps=4, batch=4)
    small = replace(usual, model=model, training=training)
    monkeypatch.setattr("abruptlab.cli.training.preset", lambda name: small if name == "gpt-laptop" else preset(name))
    words = ("reproduce", "--everything", "--track", "tensorboard", "--only", "gpt-laptop", "variants")
    assert abruptlab(*words) == (0, "")
    assert Run(tmp_path / "runs" / "gpt-laptop-seed0").finished
    assert (tmp_path / "runs" / "gpt-laptop-seed0" / "report.html").exists()
    assert not (tmp_path / "runs" / "laptop-seed1").exists()
    sweep = tmp_path / "runs" / "sweeps" / "variants"
    assert (tmp_path / "runs" / "gpt-laptop-seed0" / "tensorboard").is_dir()
    assert [*sweep.glob("*/tensorboard")]
    assert (sweep / "claims.json").exists()
    assert (sweep / "figures" / "figure_rate.png").exists()
    assert f"page: {(sweep / 'index.html').relative_to(tmp_path)}" in capsys.readouterr().out.splitlines()
    assert (sweep / "index.html").exists()


def test_claims_on_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = WIDTHS.replace('"mine"', '"variants"').replace("[[variants]]", '[[variants]]\nfamily = "width"')
    make_sweep(tmp_path, text, lambda point: make_metrics(final=0.5 if point.label == "12" else 0.05))
    assert abruptlab("claims", tmp_path, "--out", tmp_path / "out") == (0, "")
    verdicts = {verdict["id"]: verdict for verdict in json.loads((tmp_path / "out" / "claims.json").read_text())}
    assert set(verdicts) == {name for name, claim in CLAIMS.items() if claim.sweep == "variants"}
    assert verdicts["width-too-small"]["within"] == [True]
    assert verdicts["width-suboptimal"]["numbers"] == [1]
    assert "no family 'depth'" in verdicts["depth-earlier"]["notes"][0]
    assert "of 2 claims judged 1 hold, 1 fail" in capsys.readouterr().out


def test_of_two_that_share_a_sweep_each_says_which_runs_it_found_and_which_are_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = make_sweep(tmp_path, "seeds = [0, 1]\n" + WIDTHS, lambda point: make_metrics())
    first, second, third, fourth = (read_state(tmp_path / point.key, point) for point in sweep.points)
    begun = [replace(state, state="begun", step=9) for state in (third, fourth)]
    with _Display(plain_console(stderr=True), jobs=1) as display:
        display.report(
            [first, second, *begun], {third.point.key, fourth.point.key}, {second.point.key, third.point.key}
        )
    found, done, status = capsys.readouterr().err.splitlines()
    assert found.startswith("found done: 12 seed 0, 4000 steps in ")
    assert done.startswith("done: 16 seed 0, 4000 steps in ")
    assert status.startswith("2 of 4 runs done, 1 running and 1 elsewhere, 0 failed, ")


def test_the_time_left_of_a_sweep_reckons_with_who_is_there_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("abruptlab.cli.sweeping.LINE_EVERY_S", 0.0)
    sweep = make_sweep(tmp_path, "seeds = [0, 1, 2, 3]\n" + WIDTHS, lambda point: None)
    done = RunState(sweep.points[0], "done", STEPS, 100.0)
    others = [RunState(point, "waiting") for point in sweep.points[1:]]  # 700 s of work
    keys = [state.point.key for state in others]
    with _Display(plain_console(stderr=True), jobs=2) as display:
        display.report([done, *others], set(), {keys[0]})  # which is only starting
        display.report([done, *others], {*keys[:5]}, {*keys[:2]})
        display.report([done, *others], {*keys[:2]}, {*keys[:2]})  # the others have left
    lines = [line for line in capsys.readouterr().err.splitlines() if "left" in line]
    assert [line.rpartition(", ")[2] for line in lines] == ["0:05:50 left", "0:02:20 left", "0:05:50 left"]


def test_a_sweep_s_table_is_whole_in_a_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    label = "a label, " * 30 + "that is long"
    [point] = make_sweep(
        tmp_path, WIDTHS.replace("12", label, 1).partition('[[variants]]\nlabel = "16')[0], lambda point: None
    ).points
    plain_console().print(_table([read_state(tmp_path / point.key, point)], "Runs"))
    assert re.search(f"{label}.*waiting.*{point.key}", capsys.readouterr().out)


def test_no_claim_is_about_a_sweep_of_one_s_own(tmp_path: Path) -> None:
    make_sweep(tmp_path, WIDTHS, lambda point: make_metrics())
    status, said = abruptlab("claims", tmp_path)
    assert status == 1
    assert said.startswith("abruptlab: no claim is about the sweep mine; there are claims about runs and the sweeps ")
    assert not (tmp_path / "claims.json").exists()


@pytest.mark.parametrize("words", [["trian"], ["train", "smoke", "--widht", "4"], ["train", "smoke", "--rank", "x"]])
def test_a_command_line_that_does_not_parse(words: list[str]) -> None:
    assert abruptlab(*words)[0] == 2


def test_a_file_with_a_mistake_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[task]\nrnak = 2\n")
    status, said = abruptlab("train", "--config", tmp_path / "bad.toml", "--out", tmp_path / "run")
    assert status == 1
    assert "bad.toml: unknown field task.rnak; there are:" in said
    assert not (tmp_path / "run").exists()


def test_an_existing_run_is_refused_unless_resumed(smoke: Path) -> None:
    assert "already holds this run" in abruptlab("train", "smoke", "--out", smoke)[1]
    assert "different run: seed is 0 there, 1 here" in abruptlab("train", "smoke", "--seed", "1", "--out", smoke)[1]
    assert abruptlab("train", "smoke", "--out", smoke, "--resume") == (0, "")


def test_a_sweep_in_which_a_run_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fast.toml").write_text(
        'name = "fast"\nbase = "smoke"\n[[variants]]\nlabel = "huge"\n'
        'training = { optimizer = "sgd", learning_rate = 1e30 }\n'
    )
    status, said = abruptlab("sweep", tmp_path / "fast.toml", "--out", tmp_path / "sweep", "--device", "cpu")
    assert status == 1
    assert "1 of the runs failed, as said above; to try them again: abruptlab" in said
    shown = capsys.readouterr()
    assert re.search(r"failed: huge seed 0, the loss is (nan|inf) at step", shown.err)
    assert "1 at a time, 1 thread each" in shown.err
    (row,) = json.loads((tmp_path / "sweep" / "index.json").read_text())
    assert row["key"] in shown.out


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: extra cluster")
    status, said = abruptlab("sweep", "smoke", "--out", tmp_path / "sweep", "--ray", "127.0.0.1:9")
    assert (status, list(tmp_path.iterdir())) == (1, [])
    assert "no Ray cluster at '127.0.0.1:9': " in said


def test_without_ray_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    status, said = abruptlab("sweep", "smoke", "--out", tmp_path / "sweep", "--ray", "auto")
    assert (status, said) == (1, "abruptlab: --ray needs Ray: pip install 'abruptlab[cluster]'")


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """A training in a process of its own, long enough to be interrupted."""
    words = ["train", "smoke", "--steps", "100000", "--rolling-every", "20", *map(str, arguments)]
    return subprocess.Popen([*COMMAND, *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def wait_for_checkpoint(folder: Path, step: int, process: subprocess.Popen[str] | ForkProcess) -> None:
    """Until it, or a later one, is there (of many, the oldest go); a slow machine only makes it take longer."""
    while max(saved_steps(folder / "checkpoints"), default=-1) < step:
        if isinstance(process, subprocess.Popen):
            assert process.poll() is None, process.stderr and process.stderr.read()
        else:
            assert process.exitcode is None
        time.sleep(0.05)


def test_ctrl_c_saves_and_prints_the_command_to_go_on(tmp_path: Path) -> None:
    process = start("--out", tmp_path / "run")
    wait_for_checkpoint(tmp_path / "run", 32, process)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert f"abruptlab train --config {tmp_path}/run/config.toml --out {tmp_path}/run --resume" in said
    assert "Traceback" not in said
    run = Run(tmp_path / "run")
    assert run.steps[-1] == len(run.metrics["step"])


def test_kill_9_loses_only_the_steps_since_the_checkpoint(tmp_path: Path) -> None:
    assert abruptlab("train", "smoke", "--device", "cpu", "--out", tmp_path / "whole") == (0, "")
    run = tmp_path / "run"
    words = ("train", "smoke", "--device", "cpu", "--steps", "100000", "--rolling-every", "20", "--out", str(run))
    process = forked(lambda: main(words))
    wait_for_checkpoint(run, 40, process)
    process.kill()
    process.join()
    left = Run(run).steps[-1]
    assert left >= 40
    resumed = forked(lambda: main([*words, "--resume"]))
    wait_for_checkpoint(run, left + 40, resumed)
    resumed.kill()
    resumed.join()
    after = Run(run).metrics
    assert after["step"].tolist() == list(range(len(after["step"])))
    assert (after["loss"][:60] == Run(tmp_path / "whole").metrics["loss"]).all()


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the full disk: the checkpoint does not fit."""
    resource = pytest.importorskip("resource")

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        main(["train", "smoke", "--device", "cpu", "--out", str(tmp_path / "run")])

    with (tmp_path / "said").open("w") as file:
        process = forked(limited, file.fileno())
        process.join()
    said = (tmp_path / "said").read_text()
    assert process.exitcode == 1
    assert "Traceback" not in said
    assert "cannot write" in said.splitlines()[-1]
    assert not list((tmp_path / "run").rglob("*.tmp"))
