"""The step as a graph: on a CPU with a stand-in for CUDA's graphs, whose curves are the ordinary loop's bit for bit;
on a GPU with the real ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from abruptlab.config import RunConfig
from abruptlab.errors import ConfigError
from abruptlab.presets import preset
from abruptlab.task.matrices import sample
from abruptlab.training.cuda_graph import WARM_UP, CudaGraphs, GraphedStep, require_capturable
from abruptlab.training.loop import train
from abruptlab.training.optimizers import set_learning_rate
from abruptlab.training.state import initial_state
from abruptlab.training.update import Update
from tests.tape import TapedGraphs
from tests.training.test_loop import assert_same_run, interrupt_at, with_task, with_training

# With rates that fp32 holds, as a tensor does: 2⁻⁹, after a warm-up of eight steps.
SMOKE = with_training(preset("smoke"), learning_rate=2**-9, warmup_steps=8)
SIZES = ((3, 3), (2, 4), (3, 2))
CHANGES = [
    {},
    {"sizes": SIZES},
    {"micro_batch": 4},
    {"precision": "bf16"},
    {"optimizer": "adamw", "weight_decay": 0.25, "micro_batch": 8, "sizes": SIZES},
    {"optimizer": "sgd"},
    {"optimizer": "sgd", "momentum": 0.9, "sizes": SIZES},
    {"kind": "decoder"},
    {"kind": "decoder", "attention": "linear", "precision": "bf16"},
]
NAMES = ["-".join(map(str, changes.values())) or "adam" for changes in CHANGES]


def smoke(changes: dict) -> RunConfig:
    changes = dict(changes)
    config = with_task(SMOKE, sizes=changes.pop("sizes", SMOKE.matrices.sizes))
    if changes.pop("kind", "encoder") == "decoder":
        model = replace(preset("gpt-laptop").model, width=16, mlp_width=32)
        config = replace(config, model=replace(model, attention=changes.pop("attention", "softmax")))
    return with_training(config, **changes)


@pytest.fixture(autouse=True)
def report_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abruptlab.training.loop.REPORT_EVERY_S", 0.0)


@pytest.fixture
def taped(monkeypatch: pytest.MonkeyPatch) -> list[TapedGraphs]:
    """A CPU on which the step can be captured, and is not compiled."""
    monkeypatch.setattr("abruptlab.training.update.CudaGraphs", TapedGraphs)
    monkeypatch.setattr("abruptlab.training.loop.require_capturable", lambda *_: None)
    monkeypatch.setattr("abruptlab.training.loop.require_compiler", lambda where: None)
    monkeypatch.setattr("abruptlab.training.update.compile_layers", lambda model: None)
    monkeypatch.setattr(TapedGraphs, "every", [])
    return TapedGraphs.every


@pytest.mark.parametrize("changes", CHANGES, ids=NAMES)
def test_the_curve_is_the_ordinary_one_and_so_it_is_after_an_interrupt(
    tmp_path: Path, taped: list[TapedGraphs], changes: dict
) -> None:
    config = with_training(smoke(changes), steps=40)
    ordinary = train(config, tmp_path / "ordinary", device="cpu")
    assert not taped
    config = with_training(config, compile="graph")
    graphed = train(config, tmp_path / "graphed", device="cpu")
    assert_same_run(ordinary, graphed)
    assert ordinary.steps == graphed.steps
    sizes = len(config.matrices.sizes)
    assert (taped[0].eager, taped[0].captures) == (WARM_UP * sizes, sizes)
    assert taped[0].eager + taped[0].replays == 40
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "broken", device="cpu", report=interrupt_at(13))
    assert_same_run(ordinary, train(config, tmp_path / "broken", resume=True, device="cpu"))
    assert taped[2].captures == sizes


def test_the_norms_of_gradients_are_of_the_step_s_own_size(tmp_path: Path, taped: list[TapedGraphs]) -> None:
    config = with_training(smoke({"sizes": SIZES}), steps=40, norms_every=1)
    ordinary = train(config, tmp_path / "ordinary", device="cpu").norms
    graphed = train(with_training(config, compile="graph"), tmp_path / "graphed", device="cpu").norms
    assert len(ordinary["step"]) == 40
    for name, values in ordinary.items():
        np.testing.assert_array_equal(graphed[name], values, name)


def test_the_rate_of_every_step_reaches_the_captured_one(tmp_path: Path, taped: list[TapedGraphs]) -> None:
    config = with_training(SMOKE, schedule="cosine", steps=24)
    ordinary = train(config, tmp_path / "ordinary", device="cpu")
    graphed = train(with_training(config, compile="graph"), tmp_path / "graphed", device="cpu")
    np.testing.assert_allclose(graphed.metrics["loss"], ordinary.metrics["loss"], rtol=1e-5)  # rates rounded to fp32
    np.testing.assert_array_equal(graphed.metrics["learning_rate"], ordinary.metrics["learning_rate"])


def test_metrics_stay_and_a_batch_may_go() -> None:
    state = initial_state(SMOKE)
    model, optimizers, update = state.model, state.optimizers, Update(state, SMOKE, torch.device("cpu"))
    graphs, flags = TapedGraphs(torch.device("cpu")), []
    (group,) = optimizers[0].param_groups

    def step(batch):
        flags.append(group["capturable"])
        return update(batch)

    graphed = GraphedStep(step, optimizers, graphs)
    set_learning_rate(optimizers, 0.0)  # so that every step on a batch has its metrics
    expected, metrics = [], []
    for at in range(WARM_UP + 4):
        batch = sample(SMOKE.matrices, SMOKE.training.batch, SMOKE.seed, at)
        with torch.no_grad():
            squared = (model(batch.tokens) - batch.values) ** 2
        expected.append([squared.mean(), squared[batch.observed].mean(), squared[~batch.observed].mean()])
        metrics.append(graphed(batch))
        for tensor in (batch.tokens, batch.values, batch.observed):
            tensor.zero_()
    torch.testing.assert_close(torch.stack(metrics)[:, :3], torch.tensor(expected))
    assert flags == [False] * WARM_UP + [True]  # PyTorch asks for it at the capture, and warns of it before
    assert group["lr"].dtype == torch.float32  # what the kernels of a GPU read


@pytest.mark.parametrize(
    ("changes", "device", "processes", "said"),
    [
        ({}, "cpu", 1, "compile graph: expected a CUDA device, got cpu"),
        ({"optimizer": "muon"}, "cuda", 1, "compile graph: expected optimizer adam, adamw or sgd, .* got muon"),
        ({"useful_attention": 2.5}, "cuda", 1, "compile graph: expected useful_attention 1, got 2.5"),
        ({}, "cuda:1", 2, "compile graph: expected one process, got 2"),
    ],
)
def test_where_a_step_cannot_be_captured_is_one_line(changes: dict, device: str, processes: int, said: str) -> None:
    config = with_training(SMOKE, **changes)
    require_capturable(config.training, torch.device(device), processes)
    with pytest.raises(ConfigError, match=said):
        require_capturable(with_training(config, compile="graph").training, torch.device(device), processes)


def test_a_graph_on_a_cpu_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a CUDA device"):
        train(with_training(SMOKE, compile="graph"), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


ON_A_GPU = [CHANGES[at] for at in (0, 3, 4, 6, 7)]
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")


@pytest.mark.cuda
@on_a_gpu
@pytest.mark.parametrize("changes", ON_A_GPU, ids=str)
def test_cuda_graphs_follow_the_compiled_and_the_eager_loop_and_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict
) -> None:
    torch._dynamo.reset()  # it compiles one function for a few shapes only, and goes on uncompiled
    captures = []
    capture = CudaGraphs.capture
    monkeypatch.setattr(CudaGraphs, "capture", lambda graphs, work: captures.append(work) or capture(graphs, work))
    config = smoke(changes)
    ways = {way: with_training(config, compile=way) for way in ("graph", "yes", "no")}
    graphed, *others = [train(config, tmp_path / way, device="cuda") for way, config in ways.items()]
    assert len(captures) == len(config.matrices.sizes)
    with pytest.raises(KeyboardInterrupt):
        train(ways["graph"], tmp_path / "broken", device="cuda", report=interrupt_at(33))
    resumed = train(ways["graph"], tmp_path / "broken", resume=True, device="cuda")
    # On a CPU, a step left out changes the encoder's losses by 1 to 8 %, other roundings by 0.2 % in bf16.
    tolerance = 5e-2 if config.training.precision == "bf16" else 1e-3
    for run in (*others, resumed):
        for name, values in run.metrics.items():
            if name.startswith("loss"):
                np.testing.assert_allclose(graphed.metrics[name], values, rtol=tolerance, err_msg=name)


@pytest.mark.cuda
@on_a_gpu
def test_nothing_waits_for_a_graph() -> None:
    state, device = initial_state(SMOKE, "cuda"), torch.device("cuda")
    optimizers = state.optimizers
    step = GraphedStep(Update(state, SMOKE, device), optimizers, CudaGraphs(device))
    batch = sample(SMOKE.matrices, SMOKE.training.batch, SMOKE.seed, 0, "cuda")
    losses = [step(batch)[0] for _ in range(WARM_UP + 1)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            set_learning_rate(optimizers, 2**-9)
            losses.append(step(batch)[0])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert losses[-1] < losses[0]  # each a memory of its own
