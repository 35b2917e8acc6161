from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, strategies as st

from abruptlab.config import MatrixTask, ModelConfig, RunConfig, StartConfig, TrainingConfig
from abruptlab.errors import ConfigError
from abruptlab.training.loop import train

share = st.floats(0, 1)


@st.composite
def tasks(draw: st.DrawFn) -> MatrixTask:
    sizes = draw(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3))
    mask: Literal["random", "coherence", "fixed"] = draw(st.sampled_from(["random", "coherence", "fixed"]))
    row = st.integers(0, min(m for m, _ in sizes) - 1)
    column = st.integers(0, min(n for _, n in sizes) - 1)
    fixed = mask == "fixed"
    return MatrixTask(
        sizes=tuple(sizes),
        rank=draw(st.integers(1, min(min(size) for size in sizes))),
        factors=draw(st.sampled_from(["uniform", "gaussian", "laplace"])),
        decimals=draw(st.integers(0, 4)),
        limit=draw(st.floats(0, 100, exclude_min=True)),
        mask=mask,
        mask_probability=draw(share),
        coherence_fraction=draw(share),
        hidden_rows=tuple(draw(st.lists(row, min_size=1, max_size=3))) if fixed else (),
        hidden_columns=tuple(draw(st.lists(column, max_size=3))) if fixed else (),
        kept=tuple(draw(st.lists(st.tuples(row, column), max_size=3))) if fixed else (),
    )


models = st.builds(
    lambda heads, head_width, **others: ModelConfig(heads=heads, width=heads * head_width, **others),
    heads=st.integers(1, 8),
    head_width=st.integers(1, 64),
    layers=st.integers(1, 12),
    mlp_width=st.integers(1, 512),
    init_std=st.floats(0, 1, exclude_min=True),
    mask_embedding=st.sampled_from(["zero", "trained"]),
)
trainings = st.builds(
    lambda micro_batch, parts, **others: TrainingConfig(
        micro_batch=micro_batch, batch=parts * (micro_batch or 1), **others
    ),
    micro_batch=st.none() | st.integers(1, 64),
    parts=st.integers(1, 8),
    optimizer=st.sampled_from(["adam", "adamw", "sgd", "muon"]),
    learning_rate=st.floats(0, 10, exclude_min=True),
    compile=st.sampled_from(("auto", "yes", "no", "graph")),
)
runs = st.builds(
    RunConfig,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True),
    seed=st.integers(0, 2**63 - 1),
    task=tasks(),
    model=models,
    training=trainings,
)


@given(runs)
def test_toml_round_trip(config: RunConfig):
    assert RunConfig.from_toml(config.to_toml()) == config


def test_what_is_left_out_keeps_the_papers_value():
    config = RunConfig.from_toml("[task]\nrank = 1")
    assert config == RunConfig(task=MatrixTask(rank=1))
    assert (config.training.batch, config.training.learning_rate, config.model.width) == (256, 1e-4, 768)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[task\n", "t.toml is not TOML"),
        ("[task]\nranks = 2", "unknown field task.ranks; there are: .*task.rank,"),
        ('nonsense = 1\n[task]\nkind = "copy"', r"unknown field nonsense; there are: (?!.*task\.rank).*task\.length"),
        ("[model]\nwidth = 'wide'", "model.width: expected a whole number, got 'wide'"),
        ("[task]\nrank = 8", r"rank: expected 1 to 7 \(the smallest side\), got 8"),
        ("[task]\nrank = 0", "rank: expected 1 to 7"),
        ("[task]\nsizes = []", "sizes: expected one or more pairs of positive numbers"),
        ("[task]\nsizes = [[7, 0]]", "sizes: expected one or more pairs of positive numbers"),
        ("[task]\ndecimals = 5", "decimals: expected 0 to 4, got 5"),
        ("[task]\nlimit = 0", "limit: expected above 0, at most 1000, got 0.0"),
        ("[task]\nlimit = 101\ndecimals = 4", "limit: expected above 0, at most 100, got 101.0"),
        ("[task]\nlimit = nan", "limit: expected above 0"),
        ("[task]\nmask = 'some'", "task.mask: expected 'random', 'coherence' or 'fixed'"),
        ("[task]\nmask_probability = 1.5", "mask_probability: expected 0 to 1, got 1.5"),
        ("[task]\ncoherence_fraction = -1", "coherence_fraction: expected 0 to 1, got -1.0"),
        ("[task]\nmask = 'fixed'", "expected some exactly if mask is fixed, got fixed"),
        ("[task]\nhidden_rows = [1]", "expected some exactly if mask is fixed, got random"),
        ("[task]\nmask = 'fixed'\nhidden_rows = [7]", "hidden_rows: expected indices 0 to 6"),
        ("[task]\nmask = 'fixed'\nhidden_rows = [1]\nkept = [[1, 7]]", "hidden_columns: expected indices 0 to 6"),
        ("[model]\nattention = 'linear'", r"attention: expected softmax \(decoders alone have others\), got linear"),
        ("[model]\nkind = 'decoder'\npositions = 'row+column'", r"positions: expected free \(encoders alone"),
        ("[model]\nkind = 'decoder'", r"mask_embedding: expected trained \(to a decoder, MASK .*\), got zero"),
        (
            "[task]\nsizes = [[5, 5], [7, 7]]\n[model]\npositions = 'row+column'",
            r"task.sizes: expected one size with model.positions row\+column, got \(\(5",
        ),
        ("[start]\ntaken = ['mlp']", "start.taken: expected start.run beside it"),
        (
            "[start]\nrun = 'laptop'\ntrained = ['mlp']\ntaken = ['mlp']",
            "start.taken: expected no start.trained beside it",
        ),
        ("[start]\nfrozen = ['heads']", "start.frozen: expected some of token-emb.*, got heads"),
        ("[training]\nother_learning_rate = 1e-4", "other_learning_rate, muon_scale: expected those of Muon alone"),
        ("[training]\nmeasure_every = 1", r"training.measure_every: expected 0 \(the task writes no answers\), got 1"),
        ("[training]\nuseful_attention = -1.0", "useful_attention: expected 0 or more, finite"),
        ("[training]\nuseful_from = 50001", r"useful_from: expected 0 to steps \(50000\), got 50001"),
        ("[start]\ntrained = ['mlp']", "start.trained: expected start.run beside it"),
        ("[training]\nbetas = [0.9, 1.0]", "betas: expected two of 0 to below 1, got"),
        ("[training]\noptimizer = 'sgd'\neps = 1e-6", r"betas, eps: expected the usual ones \(sgd has none\)"),
        ("[training]\nclip_norm = 0.0", "clip_norm: expected above 0 and finite, got 0.0"),
        ("[start]\nrun = 'laptop'\ntrained = ['heads']", "start.trained: expected some of token-emb.*, got heads"),
        ("[model]\nheads = 7", r"width: expected a multiple of heads \(7\), got 768"),
        ("[model]\nlayers = 0", "layers: expected at least 1, got 0"),
        ("[model]\ninit_std = 0.0", "init_std: expected above 0"),
        ("[training]\nsteps = 0", "steps: expected at least 1, got 0"),
        ("[training]\nsteps = '3'", "training.steps: expected a number, got '3'"),
        ("[training]\nsteps = true", "training.steps: expected a number, got True"),
        ("[training]\nbetas = [0.9, '0.99']", "training.betas: expected a number, got '0.99'"),
        ("[task]\nsizes = [[5, '5']]", "task.sizes: expected a number, got '5'"),
        (
            "[task]\nkind = 'copy'\nbackwards = 'yes'\n[model]\nkind = 'decoder'\nmask_embedding = 'trained'",
            "task.backwards: expected true or false, got 'yes'",
        ),
        ("[training]\nmicro_batch = 100", r"micro_batch: expected a divisor of batch \(256\), got 100"),
        ("[training]\nlearning_rate = 0.0", "learning_rate: expected above 0"),
        ("[training]\nlearning_rate = inf", "learning_rate: expected above 0 and finite, got inf"),
        ("[training]\nweight_decay = inf", "weight_decay: expected 0 or more, finite, got inf"),
        ("[model]\ninit_std = nan", "init_std: expected above 0 and finite, got nan"),
        ("[task]\nkind = ['matrix']", "task.kind: expected one of .*matrix, .*, got .*"),
        ("[start]\nstep = '3'", r"start\.step: expected start\.run beside it, got 3"),
        ("a = " + 5000 * "[", "TOML that can be read: it is nested too deep"),
        ("seed = " + 5000 * "1", "t.toml: expected whole numbers of at most 4,300 digits, got a longer one"),
        ("[training]\nwarmup_steps = 50001", r"warmup_steps: expected 0 to steps \(50000\), got 50001"),
        ("[training]\nmomentum = 1.0", "momentum: expected 0 to below 1"),
        ("[training]\nweight_decay = -1.0", "weight_decay: expected 0 or more"),
        ("seed = -1", "seed: expected 0 to 2⁶³ − 1, got -1"),
        ("name = 'a/b'", "name: expected letters, digits, - and _, got a/b"),
    ],
)
def test_a_mistake_is_named_in_one_line(text: str, message: str):
    with pytest.raises(ConfigError, match=message) as caught:
        RunConfig.from_toml(text, "t.toml")
    assert str(caught.value).startswith("t.toml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (TrainingConfig, "optimizer"),
        (TrainingConfig, "schedule"),
        (TrainingConfig, "precision"),
        (TrainingConfig, "compile"),
        (MatrixTask, "factors"),
        (MatrixTask, "mask"),
        (ModelConfig, "kind"),
        (ModelConfig, "attention"),
        (ModelConfig, "positions"),
        (ModelConfig, "mask_embedding"),
    ],
)
def test_a_word_that_a_field_does_not_have_is_refused_in_python_too(kind: type, field: str):
    with pytest.raises(ConfigError, match=rf"{field}: expected \w+.* or .*, got 'adan'"):
        kind(**{field: "adan"})


def test_read(tmp_path: Path):
    config = RunConfig(name="mine", seed=3)
    (tmp_path / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    assert RunConfig.read(tmp_path / "config.toml") == config
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'")
    for name in ("missing.toml", "latin.toml"):
        with pytest.raises(ConfigError, match=f"cannot read .*{name}"):
            RunConfig.read(tmp_path / name)


@pytest.mark.parametrize(("factors", "rank", "level"), [("uniform", 2, 2 / 9), ("gaussian", 2, 2), ("laplace", 1, 4)])
def test_copying_level(factors, rank: int, level: float):
    assert MatrixTask(factors=factors, rank=rank).copying_level == pytest.approx(level)


def test_positions_are_those_of_the_largest_matrix():
    assert MatrixTask(sizes=((5, 5), (9, 2), (4, 7)), rank=1).positions == 28


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    training = TrainingConfig(steps=np.int64(5), learning_rate=np.float32(0.5), betas=(np.float64(0.5), 0.75))  # type: ignore[arg-type]
    config = RunConfig(seed=np.int64(3), task=MatrixTask(sizes=((np.int64(4), 4),), rank=1), training=training)  # type: ignore[arg-type]
    assert RunConfig.from_toml(config.to_toml()) == config
    assert config.decisive["seed"] == 3


def test_a_folder_is_the_same_with_a_slash_at_its_end() -> None:
    assert StartConfig("runs/one/") == StartConfig("./runs/one") == StartConfig("runs/one")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"momentum": 0.9}, r"momentum: expected 0 \(adam has none\), got 0.9"),
        ({"weight_decay": 0.1}, r"weight_decay: expected 0 \(adam has none\), got 0.1"),
        ({"useful_from": 5}, "useful_from: expected useful_attention other than 1 beside it, got 5"),
    ],
)
def test_a_new_run_has_no_field_that_changes_nothing(fields: dict, message: str, tmp_path: Path) -> None:
    config = RunConfig(training=TrainingConfig(**fields))  # which runs of before may have
    with pytest.raises(ConfigError, match=message):
        train(config, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
