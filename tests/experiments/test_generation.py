from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from abruptlab.errors import CheckpointError, RunError
from abruptlab.experiments.attention import measure_attention
from abruptlab.experiments.estimate import losses
from abruptlab.experiments.forward import load, predict
from abruptlab.experiments.generation import (
    PARTS,
    assess,
    measure_encoder_error,
    measure_generation,
    measure_gpt_learning,
)
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.losses import measure_loss_curves, smooth
from abruptlab.experiments.sequence_attention import measure_sequence_attention
from abruptlab.figures.gpt import LOOKS, draw_gpt_learning, draw_sequence_attention
from abruptlab.paper import CLAIMS, Findings, Verdict, judge
from abruptlab.paper.claim import Claim
from abruptlab.paper.gpt import CLAIMS as GPT_CLAIMS
from abruptlab.presets import preset
from abruptlab.run.pretrained import pretrained_run
from abruptlab.run.run import Run
from abruptlab.task.matrices import Batch
from abruptlab.task.vocabulary import Vocabulary
from tests.handmade_gpt import CONFIG, ENTRIES, TASK, copier, gpt_run, make_gpt_metrics, parrot
from tests.synthetic import END, ONSET, STEPS, make_metrics, make_run

VOCABULARY = Vocabulary.of(TASK)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return gpt_run(tmp_path_factory.mktemp("gpt"))


def test_a_model_that_copies_is_right_where_it_sees_and_writes_no_value_elsewhere(run: Run) -> None:
    batch, generation = held_out(run, 30), measure_generation(run, matrices=30)
    hidden = ~batch.observed
    assert generation.accuracy_observed.mean == 1
    assert generation.error_observed.mean == 0
    assert generation.accuracy_masked.mean == 0
    assert generation.error_masked.mean == pytest.approx(batch.values[hidden].square().mean().item(), rel=1e-5)
    assert generation.no_value.mean == pytest.approx(hidden.float().mean().item())


def test_what_no_value_counts_as() -> None:
    observed = torch.tensor([[True, True, False, False, False]])
    values = torch.tensor([[0.25, 1.0, -0.5, 0.0, 0.6]])
    written = VOCABULARY.encode(torch.tensor([[0.25, 0.5, 0.0, 0.0, 0.0]]))
    written[0, 2:] = torch.tensor([0, VOCABULARY.separator, VOCABULARY.decoder_size - 1])  # MASK, SEP, no meaning
    result = assess(written, Batch(torch.zeros(1, 5).long(), values, observed, (1, 5)), VOCABULARY)
    assert result.accuracy_observed.mean == 0.5
    assert result.error_observed.mean == pytest.approx(0.125)
    assert result.accuracy_masked.mean == 0  # although the second of them is the value 0
    assert result.error_masked.mean == pytest.approx((0.25 + 0.36) / 3)
    assert result.no_value.mean == pytest.approx(0.6)


def test_learning_is_the_metrics_and_every_checkpoint(run: Run) -> None:
    learning = measure_gpt_learning(run, matrices=20)
    for part, raw, smoothed in zip(PARTS, learning.loss, learning.smooth, strict=True):
        np.testing.assert_array_equal(raw, run.metrics[f"loss_{part}"])
        np.testing.assert_array_equal(smoothed, smooth(raw))
    assert learning.checkpoint.tolist() == [0, ONSET // 2, END, STEPS]
    np.testing.assert_array_equal(learning.generation.accuracy_observed.mean[2:], 1)
    assert (learning.generation.accuracy_observed.mean[:2] < 0.1).all()
    assert learning.drop is not None
    assert learning.drop.onset == pytest.approx(ONSET, rel=0.1)  # of the observed part, which alone falls
    assert learning.copying_level == pytest.approx(1 / 9)


def test_the_encoder_is_judged_on_the_same_matrices(run: Run, tmp_path: Path) -> None:
    laptop = pretrained_run()
    batch = held_out(laptop, 40)
    np.testing.assert_array_equal(batch.values, held_out(run, 40).values)
    expected = losses(predict(load(laptop, "final"), batch.tokens), batch)["loss_masked"]
    np.testing.assert_array_equal(measure_encoder_error(run, matrices=40).mean, expected.mean)
    of_the_paper = replace(CONFIG, task=preset("gpt").task)  # the task of `base`, with fewer ids
    (tmp_path / "paper").mkdir()
    paper = make_run(tmp_path / "paper", make_gpt_metrics(), (), of_the_paper)
    assert measure_encoder_error(paper, matrices=8).mean == pytest.approx(0.02, abs=0.02)
    other = make_run(tmp_path, make_gpt_metrics(), (), replace(CONFIG, task=replace(TASK, mask_probability=0.2)))
    with pytest.raises(RunError, match="no encoder of the package has learnt the task of"):
        measure_encoder_error(other)


def test_a_head_that_copies_looks_the_entry_up(run: Run) -> None:
    attention = measure_sequence_attention(run, matrices=20)
    assert attention.step.tolist() == [ONSET // 2, END]
    assert attention.entries == ENTRIES
    before, after = attention.copying.mean[:, 0, 0]
    seen = ENTRIES + 1 + np.arange(ENTRIES)  # uniform attention: one of the places so far
    assert before == pytest.approx((1 / seen).mean(), rel=0.05)
    assert after > 0.999
    assert attention.maps.shape == (2, 1, 1, 2 * ENTRIES, 2 * ENTRIES)
    np.testing.assert_allclose(attention.maps.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(attention.maps[1, 0, 0, ENTRIES:, :ENTRIES], np.eye(ENTRIES), atol=1e-3)


def test_without_a_drop_the_maps_are_of_the_start_and_the_end(tmp_path: Path) -> None:
    run = gpt_run(tmp_path, make_gpt_metrics(onset=9000, end=9500))
    assert measure_sequence_attention(run, matrices=4).step.tolist() == [0, STEPS]


def test_each_kind_of_run_has_its_experiments(run: Run, tmp_path: Path) -> None:
    for of_encoders in (measure_attention, measure_loss_curves):
        with pytest.raises(RunError, match="this needs an encoder of matrices, and the run has a decoder of"):
            of_encoders(run)
    encoder = make_run(tmp_path, make_metrics())
    for of_decoders in (measure_gpt_learning, measure_generation, measure_sequence_attention):
        with pytest.raises(
            RunError, match=r"this needs a decoder( of matrices)?, and the run('s model is| has) an encoder"
        ):
            of_decoders(encoder)
    with pytest.raises(CheckpointError, match="there are: 0, 750, 2000, 4000"):
        measure_generation(run, 17)


def verdicts(run: Run, claims: Mapping[str, Claim] = GPT_CLAIMS) -> dict[str, Verdict]:
    return {verdict.id: verdict for verdict in judge(Findings(run, matrices=40), claims)}


def test_every_claim_holds_on_the_paper_s_story(run: Run) -> None:
    judged = verdicts(run)
    assert {verdict.outcome for verdict in judged.values()} == {"holds"}, judged
    assert judged["gpt-copies"].numbers[0] == pytest.approx(1, abs=0.05)
    assert judged["gpt-prompt-stays"].numbers[0] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("claim", "metrics", "models"),
    [
        ("gpt-drop", {"onset": 800, "end": 2200, "steps": 7000}, {}),
        ("gpt-copies", {}, {ONSET // 2: copier()}),
        ("gpt-copies", {}, {END: parrot()}),
        ("gpt-prompt-stays", {"prompt": 0.8}, {}),
        ("gpt-copying-heads", {}, {END: parrot()}),
    ],
)
def test_a_run_that_breaks_a_claim_fails_it(tmp_path: Path, claim: str, metrics: dict, models: dict) -> None:
    story = {0: parrot(), ONSET // 2: parrot(), END: copier(), STEPS: copier()}
    run = gpt_run(tmp_path, make_gpt_metrics(**metrics), story | models)
    [verdict] = verdicts(run, {claim: GPT_CLAIMS[claim]}).values()
    assert verdict.outcome == "fails"
    assert verdict.numbers[0] is not None
    assert verdict.numbers[0] not in GPT_CLAIMS[claim].bound


def test_a_model_that_completes_fails_what_says_it_does_not(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(model, prompts: torch.Tensor) -> torch.Tensor:
        """The whole answer, from somebody who knows it."""
        batch = held_out(run, 40)
        assert (prompts[:, :-1] == batch.tokens).all()
        return VOCABULARY.encode(batch.values)

    monkeypatch.setattr("abruptlab.experiments.generation.generate", told)
    judged = verdicts(run, {name: GPT_CLAIMS[name] for name in ("gpt-not-completed", "gpt-worse-than-bert")})
    for verdict in judged.values():
        assert verdict.numbers == (0,)
        assert verdict.within == (False,)


def test_claims_are_judged_on_runs_of_their_kind(run: Run, tmp_path: Path) -> None:
    encoder = make_run(tmp_path, make_metrics(), checkpoints=())
    for each, kind in ((run, "decoder"), (encoder, "encoder")):
        for verdict in judge(Findings(each, matrices=8)):
            other = CLAIMS[verdict.id].kind != kind
            assert any(note.startswith("this needs a") for note in verdict.notes) == other, verdict
            assert verdict.outcome == "not judged" or not other


def test_a_drop_under_way_leaves_open_what_comes_after_it(tmp_path: Path) -> None:
    judged = verdicts(gpt_run(tmp_path, make_gpt_metrics(steps=1900), {0: parrot(), ONSET // 2: parrot()}))
    assert {verdict.outcome for verdict in judged.values()} == {"not judged"}


def test_what_is_drawn_is_what_was_measured(run: Run) -> None:
    learning = measure_gpt_learning(run, matrices=20)
    losses_axes, accuracy, error = draw_gpt_learning(learning).axes
    smoothed = {line.get_label(): line.get_ydata() for line in losses_axes.lines}
    for part, expected in zip(PARTS, learning.smooth, strict=True):
        np.testing.assert_array_equal(smoothed[LOOKS[part][0]], expected)
    np.testing.assert_array_equal(accuracy.lines[0].get_ydata(), learning.generation.accuracy_observed.mean)
    np.testing.assert_array_equal(error.lines[-1].get_ydata(), [1 / 9, 1 / 9])
    attention = measure_sequence_attention(run, matrices=20)
    before, after, _ = draw_sequence_attention(attention).axes
    np.testing.assert_array_equal(after.images[0].get_array(), attention.maps[1, 0, 0])
    assert f"{ONSET // 2}" in before.get_ylabel()
    assert "1.00" in after.get_title()


def test_negative_attention_has_a_scale_around_zero(run: Run) -> None:
    attention = measure_sequence_attention(run, matrices=4)
    maps = attention.maps * np.where(np.arange(2 * ENTRIES) % 2, 1, -2)
    norm = draw_sequence_attention(replace(attention, maps=maps)).axes[0].images[0].norm
    np.testing.assert_array_equal(norm(np.abs(maps).max() * np.array([-1, -0.25, 0, 0.25])), [0, 0.25, 0.5, 0.75])
