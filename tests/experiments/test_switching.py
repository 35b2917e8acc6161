"""Model switching, between models that differ in known parts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from abruptlab.config import ModelConfig
from abruptlab.errors import CheckpointError, ConfigError
from abruptlab.experiments import forward
from abruptlab.experiments.estimate import Estimate, Losses
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.scores import Shown
from abruptlab.experiments.switching import Switching, measure_switch, measure_switching, switch
from abruptlab.figures.style import MASKED, OBSERVED
from abruptlab.figures.switching import draw_switching
from abruptlab.model.encoder import Encoder
from abruptlab.model.groups import GROUPS, SINGLE
from abruptlab.paper import Findings, judge
from abruptlab.paper.switching import CLAIMS
from abruptlab.run.run import Run
from tests.conftest import make_encoder
from tests.handmade import CONFIG, FREE, VALUE, averager, carry, channel, copier, handmade_run
from tests.known import Known, holds
from tests.synthetic import STEPS, make_metrics

BEFORE = 750


def shifted(model: Encoder, parameter: str, by: torch.Tensor | float) -> Encoder:
    with torch.no_grad():
        model.get_parameter(parameter).add_(by)
    return model


def other_factor() -> Encoder:
    model = averager("row")
    carry(model, 1, 0, VALUE, FREE[0], factor=2.0)
    return model


DIFFERENT: dict[str, Callable[[], Encoder]] = {  # from the averager of rows, in that group alone
    "token-embeddings": lambda: shifted(averager("row"), "token_embedding.weight", channel(VALUE)),
    "positional-embeddings": lambda: shifted(averager("row"), "position_embedding.weight", channel(VALUE)),
    "attention-qkv": lambda: averager("column"),
    "attention-output": other_factor,
    "mlp": lambda: shifted(averager("row"), "blocks.0.mlp.output.bias", channel(VALUE)),
    "layer-norms": lambda: shifted(averager("row"), "embed_norm.bias", channel(VALUE)),
    "read-out": lambda: shifted(averager("row"), "readout.bias", 0.5),
}


def pair(folder: Path, before: Encoder, after: Encoder) -> Run:
    return handmade_run(folder, {BEFORE: before, STEPS: after})


def table(losses: Losses) -> np.ndarray:
    return np.stack([losses["loss"].mean, losses["loss_observed"].mean, losses["loss_masked"].mean], -1)


@pytest.mark.parametrize("changed", SINGLE)
def test_the_group_that_differs_makes_the_other_model_and_no_other_group_does(tmp_path: Path, changed: str) -> None:
    result = measure_switching(pair(tmp_path, averager("row"), DIFFERENT[changed]()), matrices=64)
    before, after = table(result.intact)
    assert abs(before - after).min() > 1e-3
    for at, group in enumerate(result.groups):
        differs = {"layer-norms": "embed_norm"}.get(changed, SINGLE[changed][0]) in GROUPS[group]
        np.testing.assert_array_equal(table(result.switched)[:, at], [after, before] if differs else [before, after])


def test_the_first_axis_is_the_model_that_gets_the_group(tmp_path: Path) -> None:
    run = pair(tmp_path, copier(), averager("row"))
    result = measure_switching(run, matrices=32, seed=2)
    assert result.steps.tolist() == [BEFORE, STEPS]
    batch = held_out(run, 32, seed=2)
    zero = [(batch.values**2)[chosen].mean() for chosen in (batch.observed, ~batch.observed)]
    copied, averaged = table(result.intact)
    into_copier, into_averager = (
        {group: table(result.switched)[model, at] for at, group in enumerate(GROUPS)} for model in (0, 1)
    )
    np.testing.assert_allclose(into_copier["read-out"][1:], zero, rtol=1e-5)  # reads a channel that nothing fills
    np.testing.assert_allclose(into_averager["read-out"], copied, atol=1e-6)
    np.testing.assert_allclose(into_copier["attention"], copied, atol=1e-6)  # fills a channel that nothing reads
    np.testing.assert_allclose(into_averager["attention"][1:], zero, rtol=1e-5)
    np.testing.assert_array_equal(into_copier["all-but-qkv"], into_averager["attention-qkv"])
    assert abs(averaged - copied).max() > 0.01


def test_any_subset_from_any_checkpoint(tmp_path: Path) -> None:
    run = pair(tmp_path, copier(), averager("row"))
    back = measure_switch(run, ["read-out", "attention"], matrices=32)
    assert (back.groups, back.source, back.into) == (("read-out", "attention"), BEFORE, STEPS)
    there = measure_switch(run, ["attention", "read-out"], source="final", into=BEFORE, matrices=32)
    assert (there.source, there.into) == (STEPS, BEFORE)
    np.testing.assert_array_equal(table(there.intact), table(back.intact)[::-1])
    np.testing.assert_array_equal(table(back.switched), table(back.intact)[1])
    np.testing.assert_array_equal(table(there.switched), table(back.intact)[0])
    assert measure_switch(run, "mlp", matrices=2).groups == ("mlp",)
    assert measure_switching(run, groups="mlp", matrices=2).groups == ("mlp",)


def test_switching_changes_neither_model() -> None:
    into, source = copier(), averager("row")
    switched = switch(into, source, ["attention-qkv"])
    for model, same in ((into, copier()), (source, averager("row"))):
        for name, parameter in model.named_parameters():
            assert torch.equal(parameter, same.get_parameter(name)), name
    shifted(switched, "blocks.1.attn.qkv.bias", 1.0)
    assert torch.equal(source.get_parameter("blocks.1.attn.qkv.bias"), torch.zeros(3 * CONFIG.model.width))


def test_it_depends_on_the_seed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = pair(tmp_path, copier(), averager("row"))
    first = measure_switching(run, matrices=30)
    assert not np.array_equal(table(measure_switching(run, matrices=30, seed=1).switched), table(first.switched))
    monkeypatch.setattr(forward, "PART", 7)
    np.testing.assert_allclose(table(measure_switching(run, matrices=30).switched), table(first.switched), atol=1e-6)


def test_mistakes_are_named(tmp_path: Path) -> None:
    small = make_encoder(ModelConfig(layers=1, heads=1, width=8, mlp_width=8))
    with pytest.raises(ConfigError, match="two models of one shape to switch mlp between"):
        switch(copier(), small, ["mlp"])
    run = handmade_run(tmp_path, {0: copier(), STEPS: copier()}, make_metrics(onset=9000, end=9500))
    with pytest.raises(ConfigError, match="no group of parameters 'qkv'"):
        measure_switch(run, ["qkv"], source="start", matrices=4)
    with pytest.raises(CheckpointError, match="no checkpoint 'before-drop', as it has no drop"):
        measure_switching(run, matrices=4)


def judged(run: Run) -> list[str]:
    return [verdict.outcome for verdict in judge(Findings(run, matrices=64), CLAIMS)]


def test_the_claims_hold_where_a_part_makes_the_whole_difference(tmp_path: Path) -> None:
    """Attention to the own place or to the whole row: an untrained head, which looks everywhere, is neither."""
    (tmp_path / "attention").mkdir()
    worse = averager("column")
    run = pair(tmp_path / "attention", worse, averager("row"))
    result = measure_switching(run, groups=["attention-qkv"], matrices=64)
    np.testing.assert_allclose(table(result.switched)[1, 0], table(result.intact)[0])
    assert np.abs(table(result.random)[1, 0] - table(result.intact)[0]).max() > 1e-3


@pytest.mark.parametrize(
    ("masked", "observed", "rest", "attention"),
    [(1.0, 0.0, True, True), (1.45, 0.0, False, False), (1.0, 0.2, False, True), (0.05, 0.0, False, False)],
)
def test_the_rest_makes_the_model_before_or_something_else(
    tmp_path: Path, masked: float, observed: float, rest: bool, attention: bool
) -> None:
    """A damage that goes beyond the plateau, or takes the copying as well, is not the model before the drop. An
    untrained model's attention goes 0.3 beyond: query, key and value have to come nearer."""
    level = CONFIG.matrices.copying_level

    def known(hidden: list, seen: list) -> Losses:
        each = {"loss": seen, "loss_observed": seen, "loss_masked": hidden}
        return Losses({name: Estimate(np.array(values) * level, np.array(values)) for name, values in each.items()})

    groups = ("attention-qkv", "not-attention")
    intact = known([1.0, 0.05], [0.0, 0.0])
    switched = known([[0.05, 0.05], [masked, masked]], [[0.0, 0.0], [observed, observed]])
    random = known([[9.0, 9.0], [1.3, 9.0]], [[9.0, 9.0], [0.0, 9.0]])
    found = Known(
        pair(tmp_path, copier(), copier()),
        {
            measure_switching: Switching(
                groups, Shown.of(CONFIG.objective), np.array([BEFORE, STEPS]), intact, switched, random
            )
        },
    )
    assert holds("switching-rest-out", found) is rest
    assert holds("switching-attention-out", found) is attention


def test_the_claims_need_a_better_model_after_the_drop(tmp_path: Path) -> None:
    assert judged(pair(tmp_path, copier(), copier())) == ["not judged", "not judged"]


def test_the_figure_draws_what_was_measured(tmp_path: Path) -> None:
    result = measure_switching(pair(tmp_path, copier(), averager("row")), matrices=16)
    panels = draw_switching(result).axes
    assert [axes.get_title() for axes in panels] == [
        "model of step 750 with\nthe group of step 4,000",
        "model of step 4,000 with\nthe group of step 750",
    ]
    labels = [label.get_text() for label in panels[0].get_yticklabels()]
    assert len(labels) == len(GROUPS)
    assert labels[result.groups.index("attention-qkv")] == "attention QKV"
    assert panels[0].yaxis_inverted()
    for model, axes in enumerate(panels):
        dots = {line.get_color(): line for container in axes.containers for line in container[:1]}
        for colour, name in ((MASKED, "loss_masked"), (OBSERVED, "loss_observed")):
            np.testing.assert_array_equal(dots[colour].get_xdata(), result.switched[name].mean[model])
            np.testing.assert_array_equal(dots[colour].get_ydata(), range(len(GROUPS)))
            levels = {
                line.get_linestyle(): np.asarray(line.get_xdata())[0]
                for line in axes.lines
                if line.get_color() == colour and line is not dots[colour]
            }
            mean = result.intact[name].mean
            assert levels == {"-": mean[model], "--": mean[1 - model]}
