"""The follow-up paper's claims, on made-up plateaus whose numbers are known."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from abruptlab.cli import main
from abruptlab.paper import FIGURES, Findings, judge, plateau, plateaus, tasks
from abruptlab.paper.follow_up import SAID
from abruptlab.paper.plan import EASY, MAIN, OWN_PARTS, PLATEAU, SPARED, TASKS, UNSEEN
from abruptlab.paper.registry import FigureSpec
from abruptlab.paper.verdict import Verdict
from abruptlab.run.run import Run
from abruptlab.sweep.file import Sweep
from abruptlab.task.repeat import Repeat
from tests.plateaus import ONSET, SMALL, make_folder

SLOW, SOON = 800, 100
OF_THE_COURSE = {name: claim for name, claim in plateau.CLAIMS.items() if claim.curve}  # of losses and measures alone


def family(spec: FigureSpec) -> str:
    """The family of the sweep that a figure shows."""
    assert isinstance(spec.measure, partial)
    return spec.measure.keywords["family"]


FAMILY = {name: family(spec) for name, spec in plateaus.FIGURES.items()}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    run = make_folder(tmp_path_factory.mktemp("plateau") / "run")
    return {verdict.id: verdict for verdict in judge(Findings(run), OF_THE_COURSE)}


def test_the_claims_of_a_run(verdicts: dict[str, Verdict]) -> None:
    numbers = {name: verdict.numbers[0] for name, verdict in verdicts.items()}
    truth = numbers["plateau-repetition"]
    assert numbers == pytest.approx(
        {
            "plateau-drop": 80 / ONSET,  # from a tenth to nine tenths of a straight fall
            "plateau-accuracy": 380 / 100,  # the first place's answers are a quarter of all
            "plateau-partial": 1.0,
            "plateau-repetition": truth,
            "plateau-collapse": 0.9,
            "plateau-repetition-fades": 0.2 / 0.7,
            "plateau-collapse-fades": 0.1 / 0.9,
            "plateau-attention-first": 0.82,
            "plateau-attention-steady": 1.0,
        },
        rel=0.05,
    )
    assert truth is not None
    assert 0.7 / 0.3 < truth < 0.7 / 0.1
    outcomes = {name: verdict.outcome for name, verdict in verdicts.items()}
    fails = {name for name, outcome in outcomes.items() if outcome != "holds"}
    assert fails == {"plateau-accuracy"}


def test_a_null_is_another_number(verdicts: dict[str, Verdict]) -> None:
    nulls = {name: verdict.nulls for name, verdict in verdicts.items()}
    assert nulls["plateau-partial"] == {"the other places": (0.2,)}
    assert nulls["plateau-collapse"] == {"at the end": (0.1,)}
    accuracy = nulls["plateau-attention-first"]["accuracy"][0]
    assert accuracy == pytest.approx(0.25 / 0.85 + 0.6 / 0.85 * 0.1, abs=0.05)  # the first place, and the onset
    fall = np.geomspace(1, 0.02, 1000)  # of the loss, whatever its ends
    begun, ended = (int((fall <= 1 - part * 0.98).argmax()) for part in (0.1, 0.9))
    [steady] = nulls["plateau-drop"]["a steady fall"]
    assert steady is not None
    assert 8 < steady < (ended - begun) / begun  # a straight one's, and that of a deeper one
    assert not any(verdict.passing for verdict in verdicts.values())


def test_without_a_drop_nothing_is_said_of_a_plateau(tmp_path: Path) -> None:
    verdicts = judge(Findings(make_folder(tmp_path / "run", onset=2000)), plateau.CLAIMS)
    assert {verdict.id: verdict.outcome for verdict in verdicts if verdict.judged} == {"plateau-drop": "fails"}


def test_where_hardly_anything_was_measured_nothing_is_judged(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run").folder
    measures = folder / "measures.jsonl"
    rows = measures.read_text().splitlines(keepends=True)
    for kept in ([rows[0]], [rows[0], rows[-1]], [*rows[:22], rows[-1]]):
        measures.write_text("".join(kept))
        verdicts = judge(Findings(Run(folder)), OF_THE_COURSE)
        assert {verdict.id for verdict in verdicts if verdict.judged} == {"plateau-drop"}
        notes = {verdict.notes for verdict in verdicts if not verdict.judged}
        assert all("steps of the last half of the plateau" in note for [note] in notes)


def test_what_a_ratio_has_nothing_under_is_not_judged(tmp_path: Path) -> None:
    """True answers without equal neighbours; measures that do not change, or are 0 all along."""
    run = make_folder(tmp_path / "run", replace(SMALL, task=Repeat(length=4, blocks=4)))
    rows = [json.loads(row) for row in (run.folder / "measures.jsonl").read_text().splitlines()]
    still = [row | {"accuracy": 0.2, "repetition": 0.0, "attention": 0.5} for row in rows]
    (run.folder / "measures.jsonl").write_text("".join(json.dumps(row) + "\n" for row in still))
    notes = {verdict.id: verdict.notes for verdict in judge(Findings(Run(run.folder)), plateau.CLAIMS) if verdict.notes}
    assert notes == {
        "plateau-accuracy": ("the accuracy does not rise",),
        "plateau-repetition": ("the true answers have no equal neighbours",),
        "plateau-repetition-fades": ("there is no repetition on the plateau",),
        "plateau-attention-first": ("the attention ends as it began",),
    }


def sweep(folder: Path, name: str, families: dict[str, dict[str, int]]) -> Sweep:
    """A sweep with these families, and for each label the onset of its runs; each seed's comes ten steps later."""
    (folder / "base.toml").write_text(SMALL.to_toml())
    text = f'name = "{name}"\nbase = "base.toml"\nseeds = [1, 2, 3]\n'
    labels = dict.fromkeys(label for labels in families.values() for label in labels)
    number = {label: at for at, label in enumerate(labels)}  # what makes one label's runs others than another's
    for family, onsets in families.items():
        for label in onsets:
            factor = 1 + number[label] / 100
            text += f'[[variants]]\nfamily = "{family}"\nlabel = "{label}"\ntraining.useful_attention = {factor}\n'
    (folder / "sweep.toml").write_text(text)
    made = Sweep(folder)
    for point in made.points:
        make_folder(folder / point.key, point.config, families[point.family][point.label] + 10 * point.config.seed)
    return made


LATER = {label: step + (ONSET - step) // 2 for step, label in plateaus.LATE.items()}
MULTIPLIED = {
    "useful attention": {"×1": ONSET, "×10": SOON, "×2.5": 200, "×0.5": 600, "×0.2": SLOW},
    "late": {"×1": ONSET, **LATER},
}


def judged(folder: Path, name: str, families: dict[str, dict[str, int]]) -> dict[str, Verdict]:
    """The verdicts on a sweep, of each family a sweep of its own."""
    verdicts = {}
    for at, (family, labels) in enumerate(families.items()):
        (part := folder / str(at)).mkdir(parents=True)
        of_family = {name: claim for name, claim in plateaus.CLAIMS.items() if FAMILY[claim.figures[0]] == family}
        found = Findings(sweep(part, name, {family: labels}))
        verdicts |= {verdict.id: verdict for verdict in judge(found, of_family)}
    assert verdicts.keys() == {each for each, claim in plateaus.CLAIMS.items() if claim.sweep == name}
    return verdicts


def test_the_claims_of_the_sweep(tmp_path: Path) -> None:
    families = MULTIPLIED | {
        "frozen at random": {"none": ONSET, "attention": SLOW, "embeddings": ONSET, "MLP": 450},
        "optimiser": {"Adam": ONSET, "Muon": 200},
    }
    verdicts = judged(tmp_path, "plateau", families)
    numbers = {name: verdict.numbers for name, verdict in verdicts.items()}
    assert numbers["attention-shortens"][0] == pytest.approx(230 / 430, rel=1e-3)  # half is right 20 steps after onset
    assert numbers["attention-lengthens"][0] == pytest.approx(630 / 430, rel=1e-3)
    assert numbers["frozen-attention"][0] == pytest.approx(830 / 430, rel=1e-3)
    assert numbers["frozen-others"][0] == pytest.approx(480 / 830, rel=1e-3)
    assert numbers["muon-shortens"][0] == pytest.approx(230 / 430, rel=1e-3)
    assert numbers["attention-late"][0] == pytest.approx(
        (LATER["×10 from step 100"] + 30 - 100) / (430 - 100), rel=0.05
    )
    nulls = {name: verdict.nulls["another seed"][0] for name, verdict in verdicts.items()}
    assert nulls["attention-shortens"] == pytest.approx(430 / 440, rel=1e-3)
    assert nulls["attention-late"] == pytest.approx((430 - 100) / (440 - 100), rel=1e-3)  # counted as the claim is
    assert numbers["attention-biases"] == pytest.approx((1, 1, 1))  # the same biases in all of them
    outcomes = {name: (verdict.outcome, verdict.numbers, verdict.nulls) for name, verdict in verdicts.items()}
    assert {name: outcome for name, outcome in outcomes.items() if outcome[0] != "holds"}.keys() == {"attention-biases"}


def test_with_the_first_place_spared_they_ask_the_same(tmp_path: Path) -> None:
    verdicts = judged(tmp_path, "plateau-spared", MULTIPLIED)
    assert verdicts["spared-shortens"].numbers[0] == pytest.approx(230 / 430, rel=1e-3)
    assert verdicts["spared-lengthens"].numbers[0] == pytest.approx(630 / 430, rel=1e-3)
    assert {name for name, verdict in verdicts.items() if verdict.outcome != "holds"} == {"spared-biases"}


def test_the_claim_of_the_easy_task(tmp_path: Path) -> None:
    """As a place of the answer is known from step 100 on, the rise is the longer the later the others are."""
    found = Findings(sweep(tmp_path, "repeat", {"blocks": {"1 block": SLOW, "2 blocks": 200, "4 blocks": 50}}))
    [verdict] = judge(found)
    blocks = found.of(FIGURES["plateau-blocks"].measure)
    assert verdict.numbers == pytest.approx([*plateaus.rise_over_before(blocks, "4 blocks").values()], rel=1e-3)
    assert verdict.id == "blocks-plateau"
    assert verdict.outcome == "holds", verdict


def test_the_claims_of_other_tasks(tmp_path: Path) -> None:
    """One whose loss falls at once has no plateau; one whose loss never falls has none that ends."""
    hard = dict.fromkeys(tasks.HARD, ONSET) | {"addition": 2000}
    easy = {"copy": 0, "reverse": 0}
    (tmp_path / "task").mkdir()
    (tmp_path / "easy").mkdir()
    verdicts = {}
    for families in ({"task": hard}, {"easy": easy, "sums": {"window 2": 60, "window 3": ONSET}}):
        found = Findings(sweep(tmp_path / next(iter(families)), "tasks", families))
        verdicts |= {verdict.id: verdict for verdict in judge(found, tasks.CLAIMS) if verdict.judged}
    outcomes = {name: verdict.outcome for name, verdict in verdicts.items()}
    held = {f"task-{label.replace(' ', '-')}": "holds" for label in hard if label != "addition"}
    assert outcomes == {**held, "task-addition": "fails", "tasks-easy": "holds", "same-with-sums": "holds"}
    assert verdicts["task-histogram"].numbers[0] == pytest.approx(80 / (ONSET + 20), rel=0.05)
    assert verdicts["task-addition"].numbers == (1000, 1000, 1000)
    assert verdicts["tasks-easy"].nulls["the main task"][0] < 1


def test_the_sweeps_of_the_package_have_what_the_claims_ask_for() -> None:
    from abruptlab.sweep.file import SweepConfig, find_sweep

    for name in ("plateau", "plateau-spared", "repeat", "tasks", "own-parts"):
        points = SweepConfig.read(find_sweep(name)).points()
        assert len({point.config.seed for point in points}) == 3
        for spec in FIGURES.values():
            if spec.sweep == name:
                assert family(spec) in {point.family for point in points}
    labels, spared = (
        {(point.family, point.label): point.config for point in SweepConfig.read(find_sweep(name)).points()}
        for name in ("plateau", "plateau-spared")
    )
    assert {("late", label) for label in plateaus.LATE.values()} < labels.keys()
    assert {("parts", label) for label in plateaus.ATTENTION_TAKEN} < labels.keys()
    assert {family for family, _ in spared} == {"useful attention", "late"}
    assert spared.keys() < labels.keys()
    for label, config in spared.items():
        first = 0 if label[1] == "×1" else 1
        assert config.training == replace(labels[label].training, useful_spared=first)
        assert (config.task, config.model) == (labels[label].task, labels[label].model)
    points = SweepConfig.read(find_sweep("tasks")).points()
    assert tuple(dict.fromkeys(point.label for point in points if point.family == "task")) == tasks.HARD


def test_the_paper_s_ledger_has_every_claim(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = [name for said in SAID for name in said.claims]
    assert sorted(told) == sorted([*plateau.CLAIMS, *plateaus.CLAIMS, *tasks.CLAIMS])
    assert {said.home for said in SAID} == {MAIN, UNSEEN, PLATEAU, SPARED, EASY, TASKS, OWN_PARTS, None}
    main(["paper", "2506.13688", "--results", str(tmp_path)])
    shown = capsys.readouterr().out
    assert "Attention rises before the drop" in shown
    assert "not run yet" in shown
    assert "abruptlab claims runs/sweeps/plateau" in shown
