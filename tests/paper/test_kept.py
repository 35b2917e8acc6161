import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abruptlab.errors import RunError
from abruptlab.experiments.estimate import Estimate, Losses
from abruptlab.experiments.losses import measure_curves, measure_loss_curves
from abruptlab.experiments.result import Outlined
from abruptlab.paper import FIGURES, TABLES, Findings
from abruptlab.paper.kept import kept
from abruptlab.run.run import Run
from abruptlab.sweep.file import Sweep
from tests.handmade_gpt import gpt_run
from tests.plateaus import make_folder
from tests.synthetic import make_metrics, make_run

ORIGIN = {"given": {"seed": 0, "step": "final"}, "code": "abc"}


def unasked() -> Any:
    raise AssertionError("measured a second time")


def outlined(value: Any) -> Any:
    """All of a result, types included, as what `==` compares."""
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, dict):
        return type(value), {name: outlined(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [outlined(part) for part in value]
    return type(value), outlined(vars(value)) if is_dataclass(value) else repr(value)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Findings]:
    make = {"encoder": lambda at: make_run(at, make_metrics()), "decoder": gpt_run, "sequence": make_folder}
    return {kind: Findings(each(tmp_path_factory.mktemp(kind)), matrices=8) for kind, each in make.items()}


@pytest.mark.parametrize(
    "measure", {spec.measure: spec.kind for spec in (*FIGURES.values(), *TABLES.values()) if not spec.sweep}.items()
)
def test_every_result_is_kept_as_it_is(measure: tuple[Any, str], found: dict[str, Findings], tmp_path: Path) -> None:
    try:
        result = found[measure[1]].of(measure[0])
    except RunError as error:
        pytest.skip(str(error))
    kept(tmp_path / "it", ORIGIN, lambda: result)
    assert outlined(kept(tmp_path / "it", ORIGIN, unasked)) == outlined(result)


@dataclass(frozen=True)
class Strange(Outlined):
    text: str


LOSSES = Losses(loss=Estimate(np.array([np.nan, 1e-30]), np.array([2, 0], dtype=np.float32)))
PARTS = {
    "a": (1, [2.5, None], np.float64(3)),
    "b.c": LOSSES,
    "name": np.array(["x", "yz"]),
    "b": {"c": True, "d": np.array(1)},
}


def test_a_result_of_anything_that_results_are_made_of(tmp_path: Path) -> None:
    kept(tmp_path / "it", ORIGIN, lambda: PARTS)
    assert outlined(kept(tmp_path / "it", ORIGIN, unasked)) == outlined(PARTS)


@pytest.mark.parametrize(
    ("result", "where"),
    [
        ({"a": [object()]}, r"result\.a\.0: .* got object"),
        ({3: np.ones(2)}, "result: expected names, got 3"),
        ({"a.b": np.ones(2), "a": {"b": np.zeros(2)}}, r"result\.a\.b: .* got two arrays"),
    ],
)
def test_a_result_of_something_else_is_not_written(result: Any, where: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=where):
        kept(tmp_path / "it", ORIGIN, lambda: result)
    assert [*tmp_path.iterdir()] == []


def test_an_origin_need_not_be_as_json_has_it(tmp_path: Path) -> None:
    origin = {"given": {"matrices": np.int64(3), "probabilities": (0.1, 0.2)}}
    kept(tmp_path / "it", origin, lambda: PARTS)
    assert outlined(kept(tmp_path / "it", origin, unasked)) == outlined(PARTS)


@pytest.mark.parametrize(
    "tree",
    [
        {"array": "result.zz"},
        {"dict": 3},
        {"class": 3, "parts": {}},
        {"class": "abruptlab.experiments.gone:X", "parts": {}},
        {"class": "abruptlab.experiments.estimate:Estimate", "parts": {}},
    ],
)
def test_a_file_that_makes_no_result_is_measured_anew(tree: Any, tmp_path: Path) -> None:
    kept(tmp_path / "it", ORIGIN, lambda: PARTS)
    sign(tmp_path / "it.json", tree)
    assert outlined(kept(tmp_path / "it", ORIGIN, lambda: LOSSES)) == outlined(LOSSES)


def test_numbers_in_the_json_are_signed(tmp_path: Path) -> None:
    kept(tmp_path / "it", ORIGIN, lambda: {"a": 0.25})
    about = tmp_path / "it.json"
    about.write_text(about.read_text().replace("0.25", "0.75"))
    assert kept(tmp_path / "it", ORIGIN, lambda: {"a": 0.5}) == {"a": 0.5}


def sign(about: Path, tree: Any) -> None:
    """Put another result into a file, as somebody would who knows how it is signed."""
    digest = hashlib.sha256(about.with_suffix(".npz").read_bytes() + json.dumps(tree).encode()).hexdigest()
    about.write_text(json.dumps(json.loads(about.read_text()) | {"sha256": digest, "result": tree}))


@pytest.mark.parametrize("ending", ["npz", "json"])
@pytest.mark.parametrize("cut", [0, 40, None])
def test_what_is_damaged_or_of_another_origin_is_measured_anew(ending: str, cut: int | None, tmp_path: Path) -> None:
    kept(tmp_path / "it", ORIGIN if cut is not None else {**ORIGIN, "code": "other"}, lambda: PARTS)
    path = tmp_path / f"it.{ending}"
    path.write_bytes(path.read_bytes()[:cut])
    assert outlined(kept(tmp_path / "it", ORIGIN, lambda: LOSSES)) == outlined(LOSSES)
    assert outlined(kept(tmp_path / "it", ORIGIN, unasked)) == outlined(LOSSES)


@pytest.mark.parametrize("name", ["os:system", "abruptlab.experiments.losses:Path", "abruptlab.experiments.losses:no"])
def test_a_file_cannot_ask_for_another_class(name: str, tmp_path: Path) -> None:
    kept(tmp_path / "it", ORIGIN, lambda: LOSSES)
    sign(tmp_path / "it.json", {"class": name, "parts": {}})
    with pytest.raises(RunError, match="expected the name of a class of results"):
        kept(tmp_path / "it", ORIGIN, unasked)


def test_a_class_of_somebody_else_is_not_kept_silently(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="test_kept:Strange"):
        kept(tmp_path / "it", ORIGIN, lambda: Strange("x"))


def test_several_may_measure_the_same_at_once(tmp_path: Path) -> None:
    def keep(index: int) -> None:
        kept(tmp_path / "it", {"code": str(index)}, lambda: np.full(10_000, index))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(keep, range(100)))
    origin = json.loads((tmp_path / "it.json").read_text())["origin"]
    assert kept(tmp_path / "it", origin, unasked)[0] == int(origin["code"])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path, make_metrics())


def measured(run: Run, **options: Any) -> list[str]:
    """What is measured when both are asked for."""
    found, asked = Findings(run, keep=True, **options), []

    def measure(function: Any) -> Any:
        asked.append(function.__name__)
        return function(found.subject)

    found._measured = measure  # pyright: ignore[reportAttributeAccessIssue]
    for each in (measure_curves, measure_loss_curves):
        found.of(each)
    return asked


BOTH = ["measure_curves", "measure_loss_curves"]


def test_what_another_command_has_measured_is_there(run: Run) -> None:
    assert measured(run) == BOTH
    assert measured(Run(run.folder)) == []
    (run.folder / "claims.json").write_text("[]")  # which nothing is measured from
    (run.folder / "not.toml").mkdir()
    assert measured(Run(run.folder)) == []


def test_without_keep_nothing_is_written(run: Run) -> None:
    Findings(run).of(measure_curves)
    assert not (run.folder / "measurements").exists()


@pytest.mark.parametrize("change", ["metrics", "weights", "size", "code", "device"])
def test_what_is_no_longer_the_same_is_measured_anew(change: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(run)
    if change == "metrics":
        path = run.folder / "metrics.jsonl"
        last = json.loads(path.read_text().splitlines()[-1])
        path.write_text(path.read_text() + json.dumps(last | {"step": last["step"] + 1}) + "\n")
    elif change == "weights":
        path = next(run.checkpoints.glob("*/meta.json"))
        path.write_text(json.dumps(json.loads(path.read_text()) | {"made_with": {"other": "weights"}}))
    elif change == "size":
        next(run.checkpoints.glob("*/model.safetensors")).write_bytes(b"cut off")
    else:
        name = {"code": "code", "device": "device_name"}[change]
        monkeypatch.setattr(f"abruptlab.paper.findings.{name}", lambda *_: "another")
    assert measured(Run(run.folder)) == BOTH


def test_a_sweep_is_also_the_run_that_its_own_start_from(tmp_path: Path) -> None:
    (tmp_path / "parent").mkdir()
    parent = make_run(tmp_path / "parent", make_metrics())
    text = f"""name = "components"\nbase = "pocket"\n[[variants]]\nlabel = "x"\nstart.run = "{parent.folder}"\n"""
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.toml").write_text(text)
    asked = []

    def measure_it(sweep: Sweep) -> int:
        asked.append(sweep)
        return len(asked)

    def look() -> int:
        return Findings(Sweep(tmp_path / "sweep"), keep=True).of(measure_it)

    assert [look(), look()] == [1, 1]
    path = parent.folder / "metrics.jsonl"
    path.write_text(path.read_text() + "\n")
    assert look() == 2


def test_a_warning_is_given_every_time(run: Run) -> None:
    text = run.config.to_toml()
    (run.folder / "config.toml").write_text(text.replace("useful_attention = 1.0", "useful_attention = 2.0"))
    assert not Findings(Run(run.folder), keep=True).keep


def test_a_stand_in_is_not_the_run(run: Run) -> None:
    found = Findings(run, keep=True)
    first, other = found.of(measure_loss_curves), found.on("smooth curve").of(measure_loss_curves)
    assert outlined(first) != outlined(other)
    again = Findings(Run(run.folder), keep=True)
    assert outlined(again.of(measure_loss_curves)) == outlined(first)
    assert outlined(again.on("smooth curve").of(measure_loss_curves)) == outlined(other)


def test_a_folder_that_cannot_be_written_is_one_line(run: Run) -> None:
    (run.folder / "measurements").write_text("in the way")
    with pytest.raises(RunError, match=r"cannot write .*measurements"):
        Findings(run, keep=True).of(measure_curves)
