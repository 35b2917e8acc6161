"""Ablation, patching and switching of a run whose task is not one of matrices."""

from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
import pytest
import torch
from matplotlib.container import ErrorbarContainer
from torch import Tensor

from abruptlab import record
from abruptlab.cli import main
from abruptlab.errors import ConfigError
from abruptlab.experiments import forward
from abruptlab.experiments.ablation import REPLACEMENTS, constant_maps, measure_ablation, measure_single_ablations
from abruptlab.experiments.estimate import Losses
from abruptlab.experiments.held_out import held_out_examples
from abruptlab.experiments.patching import Patch, measure_patching
from abruptlab.experiments.switching import measure_switch, measure_switching
from abruptlab.figures.switching import draw_switching
from abruptlab.model.groups import SINGLE
from abruptlab.run.run import Run
from abruptlab.task.answers import SequenceBatch
from abruptlab.training.state import initial_model
from tests.task.test_window_sum import SMALL, run

__all__ = ["run"]


def scores_of(run: Run, step: int | str, batch: SequenceBatch) -> Tensor:
    """The metrics of a checkpoint, computed as in a training."""
    model, objective = run.load(step), run.objective
    with torch.no_grad():
        return objective.sums(model, batch) / objective.counts(batch)


def means(losses: Losses, *at: int) -> Tensor:
    return torch.tensor([float(each.mean[at]) for each in losses.values()])


def test_interventions_take_any_task(run: Run) -> None:
    batch = cast(SequenceBatch, held_out_examples(run, 48, seed=1))
    few: dict[str, Any] = {"matrices": 48, "seed": 1}
    first, last = scores_of(run, 0, batch), scores_of(run, 40, batch)

    ablation = measure_ablation(run, [(0, 0)], "zero", **few)
    torch.testing.assert_close(means(ablation.intact), last)
    model = run.load("final")
    with torch.no_grad():
        model.blocks[0].attn.output.weight.zero_()  # pyright: ignore
        blind = run.objective.sums(model, batch) / run.objective.counts(batch)
    torch.testing.assert_close(means(ablation.ablated), blind)
    single = measure_single_ablations(run, **few)
    torch.testing.assert_close(means(single.ablated, REPLACEMENTS.index("zero"), 0, 0), blind)

    every = tuple(SINGLE)
    back = measure_switch(run, every, source="start", into="final", **few)
    torch.testing.assert_close(means(back.switched), first)
    assert not torch.allclose(means(measure_switch(run, ["mlp"], source="start", **few).switched), first)

    whole = measure_patching(run, [Patch("blocks.0.resid_post")], **few)
    torch.testing.assert_close(means(whole.to_clean, 1), last)
    assert float(whole.effect["loss_answer"].mean) == pytest.approx(1)
    none = measure_patching(run, [Patch("embed", positions=[])], **few)
    assert float(none.effect["loss_answer"].mean) == 0
    others = SequenceBatch(batch.tokens.roll(-1, 0), batch.size)
    torch.testing.assert_close(means(none.to_corrupted, 0), scores_of(run, 40, others))


@pytest.mark.parametrize(("kind", "total"), [("softmax", 1.0), ("linear", None)])
def test_a_uniform_map_of_a_decoder_is_one_over_what_it_sees(
    kind: Literal["softmax", "linear"], total: float | None
) -> None:
    config = replace(SMALL, model=replace(SMALL.model, attention=kind))
    model, batch = initial_model(config), next(config.task.stream(8, 0))
    [swap] = constant_maps(model, [(0, 0)], "uniform").values()
    with torch.no_grad(), record(model, "blocks.0.attn.pattern") as activations:
        model(config.objective.inputs(batch))
    pattern = activations["blocks.0.attn.pattern"]
    maps = swap(pattern)[:, 0]
    sums = pattern.mean(0).sum(-1)[0] if total is None else torch.full(maps.shape[1:2], total)
    for query in range(maps.shape[1]):
        assert (maps[:, query, query + 1 :] == 0).all()
        torch.testing.assert_close(maps[:, query, : query + 1], sums[query].expand(8, query + 1) / (query + 1))


def test_interventions_are_printed_for_any_task(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    few = [str(run.folder), "--matrices", "16"]
    for words, shown in (
        (["ablate", *few, "--heads", "1.1", "--with", "mean"], "L_answer"),
        (["patch", *few, "--layer", "1", "--positions", "8"], "0: as on others, 1: as on the examples"),
        (["switch", *few, "--source", "start", "--groups", "mlp"], "mlp of step 0 put into step 40"),
    ):
        main(words)
        assert shown in capsys.readouterr().out


def test_a_figure_of_switching_shows_the_task_s_own_losses(run: Run) -> None:
    result = measure_switching(run, before=0, groups=tuple(SINGLE), matrices=16)
    assert (result.shown.names, result.shown.unit) == (("loss_answer", "loss_prompt"), "cross-entropy (nats)")
    figure = draw_switching(result)
    assert figure.axes[0].get_xlabel() == result.shown.unit
    left = [bars.lines[0].get_xdata() for bars in figure.axes[0].containers if isinstance(bars, ErrorbarContainer)]
    np.testing.assert_array_equal(left, [result.switched[name].mean[0] for name in reversed(result.shown.names)])


def test_a_place_that_no_model_is_given_is_named(run: Run) -> None:
    """Of the last token of the answer nothing is asked, so it is not there."""
    with pytest.raises(SystemExit, match="--positions: expected 1 to 8, got 9"):
        main(["patch", str(run.folder), "--matrices", "16", "--layer", "1", "--positions", "9"])


def test_parts_of_the_examples_make_the_whole(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def numbers() -> list[np.ndarray]:
        patching = measure_patching(run, [Patch("blocks.0.attn.z")], matrices=20)
        ablation = measure_ablation(run, None, "zero", matrices=20)
        each = [*patching.to_corrupted.values(), *patching.effect.values(), *ablation.difference.values()]
        return [array for estimate in each for array in (estimate.mean, estimate.error)]

    whole = numbers()
    monkeypatch.setattr(forward, "PART", 7)
    for one, other in zip(numbers(), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_more_examples_than_the_memory_holds_are_refused(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"1,000,000,000,000 examples takes at least .* GiB of memory"):
        measure_ablation(run, matrices=10**12)
