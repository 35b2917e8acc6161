"""What defines a run: frozen dataclasses, resolved once, written to the run folder as TOML.

Every field is a command-line flag too, so its docstring is its help text. Nothing here imports PyTorch: the command
line must answer at once.
"""

import json
import math
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from abruptlab.arguments import checked, require, require_types
from abruptlab.errors import ConfigError
from abruptlab.task import TASKS
from abruptlab.task.base import STRICT, Task
from abruptlab.task.matrix import MatrixTask
from abruptlab.task.sequence import SequenceTask
from abruptlab.toml import flat, mistakes_of, parsed, read_text, require_kinds, validated

if TYPE_CHECKING:
    from abruptlab.task.base import Objective

GROUP_NAMES = (  # of a model's parameters, by name; `abruptlab.model.groups` says what is in them
    "token-embeddings",
    "positional-embeddings",
    "attention-qkv",
    "attention-output",
    "mlp",
    "layer-norms",
    "read-out",
    "attention",
    "embeddings",
    "layers-but-qkv",
    "not-attention",
    "all-but-qkv",
)


@dataclass(frozen=True)
class ModelConfig:
    """The transformer."""

    __pydantic_config__: ClassVar = STRICT

    kind: Literal["encoder", "decoder"] = "encoder"
    """encoder: the paper's BERT, which reads a value off every token; decoder: its GPT, which predicts the next one."""
    layers: int = 4
    """Number of transformer layers."""
    heads: int = 8
    """Attention heads a layer."""
    width: int = 768
    """Size of the residual stream."""
    mlp_width: int = 3072
    """Hidden size of the MLP."""
    init_std: float = 0.02
    """Linear and embedding weights start as N(0, init_std²)."""
    mask_embedding: Literal["zero", "trained"] = "zero"
    """MASK's embedding: zero and never trained, as in the paper's BERT, or trained like the others, as in its GPT."""
    positions: Literal["free", "row+column"] = "free"
    """encoder: an embedding for every place, as in the paper, or the sum of one for its row and one for its column."""
    attention: Literal["softmax", "linear"] = "softmax"
    """decoder: softmax attention, or linear attention (the same scores without the softmax)."""

    def __post_init__(self) -> None:
        require_types(self)
        for name in ("layers", "heads", "width", "mlp_width"):
            require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        require(self.width % self.heads == 0, "width", f"a multiple of heads ({self.heads})", self.width)
        require(0 < self.init_std < math.inf, "init_std", "above 0 and finite", self.init_std)
        only = {"positions": ("free", "encoder"), "attention": ("softmax", "decoder")}
        for name, (usual, kind) in only.items():
            given = getattr(self, name)
            require(self.kind == kind or given == usual, name, f"{usual} ({kind}s alone have others)", given)
        expected = "trained (to a decoder, MASK is a token like any other)"
        require(not self.causal or self.mask_embedding == "trained", "mask_embedding", expected, self.mask_embedding)

    @property
    def causal(self) -> bool:
        """Whether it reads from left to right, and writes; otherwise it reads all places at once."""
        return self.kind == "decoder"


@dataclass(frozen=True)
class TrainingConfig:
    """The optimisation. Data are fresh at every step."""

    __pydantic_config__: ClassVar = STRICT

    steps: int = 50_000
    """Optimiser steps."""
    batch: int = 256
    """Matrices a step."""
    micro_batch: int | None = None
    """Matrices in memory at once: a step accumulates the gradient over parts of this size (default: the
    batch, or on a CPU as much of it as keeps the memory small)."""
    optimizer: Literal["adam", "adamw", "sgd", "muon"] = "adam"
    """Muon takes the layers' weight matrices; Adam takes all else."""
    learning_rate: float = 1e-4
    """Peak learning rate."""
    other_learning_rate: float | None = None
    """muon: that of all else, in the same schedule (default: the same)."""
    muon_scale: Literal["adam", "spectral"] = "adam"
    """muon: an update of Adam's size for the same rate, or of a spectral norm of the rate (times √(rows/columns) of
    tall matrices), as first published."""
    schedule: Literal["constant", "cosine"] = "constant"
    """After the warm-up: constant, or cosine to zero at the last step."""
    warmup_steps: int = 0
    """The rate rises linearly over this many steps."""
    weight_decay: float = 0.0
    """adamw, muon: decoupled weight decay."""
    momentum: float = 0.0
    """sgd: momentum."""
    betas: tuple[float, float] = (0.9, 0.999)
    """adam, adamw, and what muon leaves to adam: decay of the means of gradients and of their squares."""
    eps: float = 1e-8
    """Of the same: what is added to the denominator."""
    clip_norm: float | None = None
    """A gradient with a larger norm, over all parameters, is scaled down to it (default: none is)."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: matrix products in bfloat16 (autocast), weights and optimiser in fp32."""
    compile: Literal["auto", "yes", "no", "graph"] = "auto"
    """Compile the layers with torch.compile; auto: on a GPU only; graph (CUDA): and capture the whole step as a CUDA
    graph."""  # auto does not capture: how much faster that is has not been measured
    checkpoint_every: int = 1000
    """Steps between the checkpoints that are kept, besides step 0, the powers of two and the last step."""
    rolling_every: int = 250
    """Steps between the checkpoints of the rolling window; those around the drop are kept."""
    measure_every: int = 0
    """Sequences: steps between measures of what the model writes, its hidden states and its attention; 0: never."""
    useful_attention: float = 1.0
    """The attention to what the answer needs is multiplied by this, in training and in measures (softmax attention is
    then normalised again)."""
    useful_from: int = 0
    """The step from which on it is."""
    useful_spared: int = 0
    """Sequences: how many of the answer's first places keep their attention as it is, such as one that is learnt at
    once."""
    norms_every: int | None = None
    """Steps between the rows of metrics that also have the norms of weights and gradients by group (default: none)."""

    def __post_init__(self) -> None:
        require_types(self)
        for name in ("steps", "batch", "checkpoint_every", "rolling_every"):
            require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        part = self.micro_batch
        divides = part is None or (1 <= part <= self.batch and self.batch % part == 0)
        require(divides, "micro_batch", f"a divisor of batch ({self.batch})", part)
        require(self.norms_every is None or self.norms_every >= 1, "norms_every", "at least 1", self.norms_every)
        require(0 < self.learning_rate < math.inf, "learning_rate", "above 0 and finite", self.learning_rate)
        require(0 <= self.warmup_steps <= self.steps, "warmup_steps", f"0 to steps ({self.steps})", self.warmup_steps)
        require(0 <= self.weight_decay < math.inf, "weight_decay", "0 or more, finite", self.weight_decay)
        require(0 <= self.momentum < 1, "momentum", "0 to below 1", self.momentum)
        for name in ("other_learning_rate", "clip_norm"):
            value = getattr(self, name)
            require(value is None or 0 < value < math.inf, name, "above 0 and finite", value)
        muon = self.optimizer == "muon" or (self.other_learning_rate is None and self.muon_scale == "adam")
        require(muon, "other_learning_rate, muon_scale", "those of Muon alone", self.optimizer)
        require(self.measure_every >= 0, "measure_every", "0 or more", self.measure_every)
        require(0 <= self.useful_attention < math.inf, "useful_attention", "0 or more, finite", self.useful_attention)
        require(0 <= self.useful_from <= self.steps, "useful_from", f"0 to steps ({self.steps})", self.useful_from)
        require(self.useful_spared >= 0, "useful_spared", "0 or more", self.useful_spared)
        require(all(0 <= beta < 1 for beta in self.betas), "betas", "two of 0 to below 1", self.betas)
        require(0 < self.eps < math.inf, "eps", "above 0 and finite", self.eps)
        adam = (self.betas, self.eps) == (TrainingConfig.betas, TrainingConfig.eps)
        require(adam or self.optimizer != "sgd", "betas, eps", "the usual ones (sgd has none)", (self.betas, self.eps))

    def require_used(self) -> None:
        """As `RunConfig.require_used`, of the training."""
        for name, has in (("weight_decay", ("adamw", "muon")), ("momentum", ("sgd",))):
            given = getattr(self, name)
            require(self.optimizer in has or given == 0, name, f"0 ({self.optimizer} has none)", given)
        for name in ("useful_from", "useful_spared"):
            changes = self.useful_attention != 1 or getattr(self, name) == 0
            require(changes, name, "useful_attention other than 1 beside it", getattr(self, name))
        comes = self.useful_attention == 1 or self.useful_from < self.steps
        require(comes, "useful_from", f"below steps ({self.steps})", self.useful_from)
        compiles = self.useful_attention == 1 or self.useful_from > 0 or self.compile != "yes"
        require(compiles, "compile", "auto or no beside useful_attention, whose steps are not compiled", self.compile)


@dataclass(frozen=True)
class StartConfig:
    """Weights to start from instead of fresh ones, those of another run's checkpoint: all of them, or all but some
    parts that alone are trained (figure 8), or those of some parts; and parts that are never trained.

    Parts are the groups of parameters of `abruptlab.model.groups`.
    """

    __pydantic_config__: ClassVar = STRICT

    run: str = ""
    """The other run: its folder, or the name of one that comes with the package; none: all parts start afresh."""
    step: str = "final"
    """Its checkpoint: a step, or the name of a milestone."""
    trained: tuple[str, ...] = ()
    """These parts are trained from scratch, all others start from the checkpoint and are frozen."""
    taken: tuple[str, ...] = ()
    """These parts start from the checkpoint, all others afresh; all are trained."""
    frozen: tuple[str, ...] = ()
    """These parts stay as they start."""

    def __str__(self) -> str:
        """From where the weights come, in words."""
        where = f"{self.run}, step {self.step}" if self.step.isdecimal() else f"{self.run}, {self.step}"
        if self.trained:
            where += f", with fresh {', '.join(self.trained)} alone in training"
        if self.taken:
            where += f", its {', '.join(self.taken)} alone"
        frozen = f", {', '.join(self.frozen)} frozen" if self.frozen else ""
        return (where if self.run else "fresh weights") + frozen

    def __post_init__(self) -> None:
        require_types(self)
        for name in ("trained", "taken"):
            given = getattr(self, name)
            require(bool(self.run) or not given, f"start.{name}", "start.run beside it", given)
        if self.run:
            object.__setattr__(self, "run", str(Path(self.run)))  # runs/one and runs/one/ are the same
        require(not (self.trained and self.taken), "start.taken", "no start.trained beside it", self.taken)
        require(bool(self.run) or self.step == "final", "start.step", "start.run beside it", self.step)
        for name in ("trained", "taken", "frozen"):
            for group in getattr(self, name):
                require(group in GROUP_NAMES, f"start.{name}", f"some of {', '.join(GROUP_NAMES)}", group)


@dataclass(frozen=True)
class RunConfig:
    """Everything that defines a run's numbers, apart from the kind of device it runs on."""

    __pydantic_config__: ClassVar = STRICT

    name: str = "custom"
    """What the run is called: its preset, or a name of yours."""
    seed: int = 0
    """Decides the initial weights and every batch."""
    task: Task = field(default_factory=MatrixTask)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    start: StartConfig = field(default_factory=StartConfig)

    def __post_init__(self) -> None:
        require_types(self)
        require(self.name.replace("-", "").replace("_", "").isalnum(), "name", "letters, digits, - and _", self.name)
        require(0 <= self.seed < 2**63, "seed", "0 to 2⁶³ − 1", self.seed)
        self.task.require_model(self.model.causal, self.model.positions)
        if isinstance(self.task, SequenceTask):
            length, spared = self.task.answer_length, self.training.useful_spared
            require(spared < length, "training.useful_spared", f"below the answer's length ({length})", spared)
        else:
            for name in ("measure_every", "useful_spared"):
                given = getattr(self.training, name)
                require(given == 0, f"training.{name}", "0 (the task writes no answers)", given)

    def require_used(self) -> None:
        """Raises `ConfigError` for a field that would change nothing; not at once, as runs that have one are there."""
        self.training.require_used()
        self.task.require_used()

    @property
    def objective(self) -> "Objective":
        """How the run's model learns its task."""
        return self.task.objective(self.model.causal)

    @property
    def matrices(self) -> MatrixTask:
        """The task, where it must be one of matrices. Raises `ConfigError` if it is not."""
        if not isinstance(self.task, MatrixTask):
            raise ConfigError(f"this is about matrices, and the run's task is {self.task.kind}")
        return self.task

    @property
    def places(self) -> int:
        """How many tokens the model sees at most."""
        return self.objective.places

    @property
    def decisive(self) -> dict[str, Any]:
        """Every field but the run's name, which decides no number, by dotted name, as JSON has it."""
        return {name: value for name, value in flat(json.loads(json.dumps(self.to_table()))).items() if name != "name"}

    def prolongs(self, steps: int) -> bool:
        """Whether the first `steps` steps are those of the same run with no more: the rate must not know the end."""
        return steps <= self.training.steps and self.training.schedule == "constant"

    def to_toml(self) -> str:
        """The whole configuration as TOML; `from_toml` reads it back equal."""
        import tomli_w

        return tomli_w.dumps(_without_none(self.to_table()))

    def to_table(self) -> dict:
        """Nested dictionaries, as TOML has them but for None; `from_table` reads them back equal."""
        table = _plain(asdict(self))
        return table | {"task": {"kind": self.task.kind, **table["task"]}}

    @staticmethod
    def from_toml(text: str, source: str = "TOML") -> "RunConfig":
        """Read a configuration; what is left out keeps the paper's value.

        Raises `ConfigError`, starting with `source`, for TOML that does not parse, an unknown field, or a bad value.
        """
        with mistakes_of(source):
            return RunConfig.from_table(parsed(text))

    @staticmethod
    def from_table(table: dict) -> "RunConfig":
        """A configuration from nested dictionaries, as TOML has them. Raises `ConfigError` as `from_toml`."""
        task = {"task": _task_from_table(table["task"])} if isinstance(table.get("task"), dict) else {}
        config = validated(RunConfig, table | task, usual(type(task.get("task", MatrixTask()))))
        require_kinds(table, config.to_table())
        return config

    @staticmethod
    @checked
    def read(path: Path | str) -> "RunConfig":
        """Read a configuration file. Raises `ConfigError` as `from_toml`, and if there is no readable file."""
        return RunConfig.from_toml(read_text(Path(path)), str(path))


def _plain(value: Any) -> Any:
    """A value with numbers of Python in the place of NumPy's, which TOML and JSON do not know."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value.item() if hasattr(value, "item") else value


def _without_none(table: dict) -> dict:
    """TOML has no null: a field that is None is left out, which means its default."""
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in table.items()
        if value is not None
    }


def _task_from_table(table: dict) -> Task:
    """The task that a `[task]` table names by its kind; a matrix task, if it names none."""
    kind = table.get("kind", MatrixTask.kind)
    require(isinstance(kind, str) and kind in TASKS, "task.kind", f"one of {', '.join(TASKS)}", kind)
    fields = {name: value for name, value in table.items() if name != "kind"}
    return validated(TASKS[kind], fields, usual(TASKS[kind]), "task.")


@cache
def usual(task: type[Task]) -> dict[str, Any]:
    """The default of every field, by dotted name, with such a task; of the task's kind it is always a matrix task's."""
    return flat(asdict(RunConfig()) | {"task": {"kind": MatrixTask.kind, **asdict(task())}})
