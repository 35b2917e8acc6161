"""What defines a run: frozen dataclasses, resolved once, written to the run folder as TOML.

Every field is a command-line flag too, so its docstring is its help text. Nothing here imports PyTorch: the command
line must answer at once.
"""

import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from abruptlab.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import ValidationError

Factors = Literal["uniform", "gaussian", "laplace"]
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
STRICT = {"extra": "forbid"}  # pydantic: an unknown field is an error


def _require(holds: bool, field_name: str, expected: str, came: object) -> None:
    if not holds:
        raise ConfigError(f"{field_name}: expected {expected}, got {came}")


@dataclass(frozen=True)
class MatrixTask:
    """Which matrices are drawn and which of their entries are hidden."""

    __pydantic_config__: ClassVar = STRICT

    sizes: tuple[tuple[int, int], ...] = ((7, 7),)
    """Rows and columns; with several sizes, each step draws one of them at random."""
    rank: int = 2
    """X = U Vᵀ with `rank` columns in U and V."""
    factors: Factors = "uniform"
    """Entries of U and V: Unif[−1, 1], N(0, 1), or Laplace(0, 1)."""
    decimals: int = 2
    """X is rounded to this many decimals, as input and as target."""
    limit: float = 10.0
    """The vocabulary covers the values −limit to +limit."""
    mask: Literal["random", "coherence", "fixed"] = "random"
    """Which entries are hidden: each at random; biased to high local coherence; or the same whole rows and columns."""
    mask_probability: float = 0.3
    """random, coherence: each entry is hidden with this probability (so the number of hidden entries varies)."""
    coherence_fraction: float = 0.5
    """coherence: this share of the hidden entries is taken from the highest local coherence, the rest at random."""
    hidden_rows: tuple[int, ...] = ()
    """fixed: rows hidden whole, counted from 0."""
    hidden_columns: tuple[int, ...] = ()
    """fixed: columns hidden whole, counted from 0."""
    kept: tuple[tuple[int, int], ...] = ()
    """fixed: (row, column) entries that stay observed in spite of that."""

    def __post_init__(self) -> None:
        _require(
            len(self.sizes) > 0 and all(m > 0 and n > 0 for m, n in self.sizes),
            "sizes",
            "one or more pairs of positive numbers of rows and columns",
            self.sizes,
        )
        smallest = min(min(size) for size in self.sizes)
        _require(1 <= self.rank <= smallest, "rank", f"1 to {smallest} (the smallest side)", self.rank)
        _require(0 <= self.decimals <= 4, "decimals", "0 to 4", self.decimals)
        largest = self.largest_limit
        _require(0 < self.limit <= largest, "limit", f"above 0, at most {largest}", self.limit)
        _require(0 <= self.mask_probability <= 1, "mask_probability", "0 to 1", self.mask_probability)
        _require(0 <= self.coherence_fraction <= 1, "coherence_fraction", "0 to 1", self.coherence_fraction)
        hidden = bool(self.hidden_rows or self.hidden_columns)
        _require(
            (self.mask == "fixed") == hidden, "hidden_rows, hidden_columns", "some exactly if mask is fixed", self.mask
        )
        rows, columns = min(m for m, _ in self.sizes), min(n for _, n in self.sizes)
        for name, indices, count in (
            ("hidden_rows", (*self.hidden_rows, *(i for i, _ in self.kept)), rows),
            ("hidden_columns", (*self.hidden_columns, *(j for _, j in self.kept)), columns),
        ):
            _require(all(0 <= i < count for i in indices), name, f"indices 0 to {count - 1}, kept entries too", indices)

    @property
    def largest_limit(self) -> int:
        """The largest limit there can be: fp32 holds every value of such a vocabulary."""
        return min(1000, 10 ** (6 - self.decimals))

    @property
    def positions(self) -> int:
        """The number of tokens of the largest matrix."""
        return max(m * n for m, n in self.sizes)

    @property
    def reach(self) -> float:
        """The largest size that an entry can have: the rank for uniform factors, else what the vocabulary covers."""
        return min(self.limit, self.rank) if self.factors == "uniform" else self.limit

    @property
    def copying_level(self) -> float:
        """E[x²] of an entry = rank · Var(u)²: the L_mask of predicting zero (r/9 for uniform factors)."""
        variance = {"uniform": 1 / 3, "gaussian": 1.0, "laplace": 2.0}[self.factors]
        return self.rank * variance**2


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
        for name in ("layers", "heads", "width", "mlp_width"):
            _require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        _require(self.width % self.heads == 0, "width", f"a multiple of heads ({self.heads})", self.width)
        _require(self.init_std > 0, "init_std", "above 0", self.init_std)
        only = {"positions": ("free", "encoder"), "attention": ("softmax", "decoder")}
        for name, (usual, kind) in only.items():
            _require(
                self.kind == kind or getattr(self, name) == usual,
                name,
                f"{usual} ({kind}s alone have others)",
                getattr(self, name),
            )
        _require(
            self.kind == "encoder" or self.mask_embedding == "trained",
            "mask_embedding",
            "trained (to a decoder, MASK is a token like any other)",
            self.mask_embedding,
        )


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
    schedule: Literal["constant", "cosine"] = "constant"
    """After the warm-up: constant, or cosine to zero at the last step."""
    warmup_steps: int = 0
    """The rate rises linearly over this many steps."""
    weight_decay: float = 0.0
    """adamw, muon: decoupled weight decay."""
    momentum: float = 0.0
    """sgd: momentum."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: matrix products in bfloat16 (autocast), weights and optimiser in fp32."""
    compile: Literal["auto", "yes", "no", "graph"] = "auto"
    """Compile the layers with torch.compile; auto: on a GPU only; graph (CUDA): and capture the whole step as a CUDA
    graph."""  # auto does not capture: nobody has run a graph on a GPU yet
    checkpoint_every: int = 1000
    """Steps between the checkpoints that are kept, besides step 0, the powers of two and the last step."""
    rolling_every: int = 250
    """Steps between the checkpoints of the rolling window; those around the drop are kept."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "checkpoint_every", "rolling_every"):
            _require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        part = self.micro_batch
        divides = part is None or (1 <= part <= self.batch and self.batch % part == 0)
        _require(divides, "micro_batch", f"a divisor of batch ({self.batch})", part)
        _require(self.learning_rate > 0, "learning_rate", "above 0", self.learning_rate)
        _require(0 <= self.warmup_steps <= self.steps, "warmup_steps", f"0 to steps ({self.steps})", self.warmup_steps)
        _require(self.weight_decay >= 0, "weight_decay", "0 or more", self.weight_decay)
        _require(0 <= self.momentum < 1, "momentum", "0 to below 1", self.momentum)


@dataclass(frozen=True)
class StartConfig:
    """Training some parts of a finished model anew, the others as they ended and frozen (figure 8)."""

    __pydantic_config__: ClassVar = STRICT

    run: str = ""
    """The finished run: its folder, or the name of one that comes with the package; none: all parts start afresh."""
    step: str = "final"
    """Its checkpoint: a step, or the name of a milestone."""
    trained: tuple[str, ...] = ()
    """The groups of parameters that are trained from scratch (`abruptlab.model.groups`)."""

    def __post_init__(self) -> None:
        _require(bool(self.run) == bool(self.trained), "start", "run and trained together, or neither", self.trained)
        for group in self.trained:
            _require(group in GROUP_NAMES, "start.trained", f"some of {', '.join(GROUP_NAMES)}", group)


@dataclass(frozen=True)
class RunConfig:
    """Everything that defines a run's numbers, apart from the kind of device it runs on."""

    __pydantic_config__: ClassVar = STRICT

    name: str = "custom"
    """What the run is called: its preset, or a name of yours."""
    seed: int = 0
    """Decides the initial weights and every batch."""
    task: MatrixTask = field(default_factory=MatrixTask)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    start: StartConfig = field(default_factory=StartConfig)

    def __post_init__(self) -> None:
        _require(self.name.replace("-", "").replace("_", "").isalnum(), "name", "letters, digits, - and _", self.name)
        _require(0 <= self.seed < 2**63, "seed", "0 to 2⁶³ − 1", self.seed)
        if self.model.positions == "row+column" or self.model.kind == "decoder":
            what = f"model.kind {self.model.kind}, model.positions {self.model.positions}"
            _require(len(self.task.sizes) == 1, "task.sizes", f"one size with {what}", self.task.sizes)

    @property
    def places(self) -> int:
        """How many tokens the model sees at most: the largest matrix's; a decoder, [masked X, SEP, X]."""
        return self.task.positions if self.model.kind == "encoder" else 2 * self.task.positions + 1

    def to_toml(self) -> str:
        """The whole configuration as TOML; `from_toml` reads it back equal."""
        import tomli_w

        return tomli_w.dumps(_without_none(asdict(self)))

    @staticmethod
    def from_toml(text: str, source: str = "TOML") -> "RunConfig":
        """Read a configuration; what is left out keeps the paper's value.

        Raises `ConfigError`, starting with `source`, for TOML that does not parse, an unknown field, or a bad value.
        """
        try:
            return RunConfig.from_table(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{source} is not TOML: {error}") from None
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None

    @staticmethod
    def from_table(table: dict) -> "RunConfig":
        """A configuration from nested dictionaries, as TOML has them. Raises `ConfigError` as `from_toml`."""
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(RunConfig).validate_python(table)
        except ValidationError as error:
            raise ConfigError(_mistake_in_run(error)) from None

    @staticmethod
    def read(path: Path) -> "RunConfig":
        """Read a configuration file. Raises `ConfigError` as `from_toml`, and if there is no readable file."""
        try:
            return RunConfig.from_toml(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {path}: {error}") from None


def _without_none(table: dict) -> dict:
    """TOML has no null: a field that is None is left out, which means its default."""
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in table.items()
        if value is not None
    }


def _mistake_in_run(error: "ValidationError") -> str:
    unknown = error.errors()[0]["type"] == "unexpected_keyword_argument"
    return first_mistake(error) + (f"; there are: {', '.join(_field_names())}" if unknown else "")


def first_mistake(error: "ValidationError") -> str:
    """The first of pydantic's complaints, in a line."""
    mistake = error.errors()[0]
    where = ".".join(str(part) for part in mistake["loc"])
    if mistake["type"] == "unexpected_keyword_argument":
        return f"unknown field {where}"
    return f"{where}: {mistake['msg'][0].lower()}{mistake['msg'][1:]}, got {mistake['input']!r}"


def _field_names() -> list[str]:
    names = []
    for key, value in asdict(RunConfig()).items():
        names += [f"{key}.{inner}" for inner in value] if isinstance(value, dict) else [key]
    return names
