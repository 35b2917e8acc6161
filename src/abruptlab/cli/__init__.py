"""The command line: the one place that parses arguments, prints, and turns errors into an exit status."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg, subcommand

from abruptlab.config import RunConfig
from abruptlab.errors import AbruptlabError, ConfigError
from abruptlab.presets import PRESETS, preset

if TYPE_CHECKING:
    from abruptlab.paper import Verdict
    from abruptlab.runs import Run
    from abruptlab.training import Progress

SUMMARY = "A laboratory for abrupt learning: train a transformer, catch the sudden drop, see what changed inside."

# Heavy modules (PyTorch, matplotlib, rich) are imported where they are used: `abruptlab --help` must answer at once.


@dataclass
class _Training:
    preset: Positional[str | None] = None
    """Name of a preset (see `abruptlab presets`)."""
    config_file: Annotated[Path | None, arg(name="config")] = None
    """TOML file to use instead of a preset."""
    out: Path | None = None
    """Run folder (default: runs/NAME-seedSEED)."""
    device: str | None = None
    """cpu, cuda, cuda:N or mps (default: the fastest there is)."""
    run: OmitArgPrefixes[RunConfig] = field(default_factory=RunConfig)
    """The configuration: every field is a flag, and overrides the preset or the file."""

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / f"{self.run.name}-seed{self.run.seed}"


@dataclass
class Train(_Training):
    """Train a preset or a configuration file; any field of the configuration is a flag."""

    resume: bool = False
    """Go on where the run in the folder stopped."""

    def __call__(self) -> None:
        _train(self, resume=self.resume)


@dataclass
class Reproduce(_Training):
    """Train (or go on training), then make every figure, judge every claim, and build the page."""

    def __call__(self) -> None:
        from abruptlab.paper import FIGURES, Findings, judge, make_figure, write_claims
        from abruptlab.report import build_report

        found = Findings(_train(self, resume=True))
        for figure in FIGURES:
            print(f"figure {figure}: {make_figure(figure, found, _typed())[0]}")
        write_claims(found)
        _print_verdicts(judge(found))
        print(f"page: {build_report(found)}")


@dataclass
class Show:
    """Show a run: its configuration, its drop and its last metrics."""

    run: Positional[Path]
    """Run folder."""

    def __call__(self) -> None:
        from abruptlab.runs import Run

        run = Run(self.run)
        print(run.config.to_toml())
        _print_state(run)


@dataclass
class Presets:
    """List the presets."""

    def __call__(self) -> None:
        for name, (summary, _) in PRESETS.items():
            print(f"{name:8}  {summary}")


@dataclass
class Figure:
    """Make one figure of the paper from a run."""

    id: Positional[str]
    """Which figure."""
    run: Positional[Path]
    """Run folder."""

    def __call__(self) -> None:
        from abruptlab.paper import Findings, make_figure
        from abruptlab.runs import Run

        for path in make_figure(self.id, Findings(Run(self.run)), _typed()):
            print(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of `abruptlab`. Exits with 0, 1 after an error of the user's or the machine's (one line on
    stderr), 2 for a command line that does not parse, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        base = _base_config(words)
        commands = (
            Annotated[Train, subcommand("train", default=Train(run=base))]
            | Annotated[Reproduce, subcommand("reproduce", default=Reproduce(run=base))]
            | Annotated[Show, subcommand("show")]
            | Annotated[Presets, subcommand("presets")]
            | Annotated[Figure, subcommand("figure")]
        )
        tyro.cli(commands, prog="abruptlab", description=SUMMARY, args=words)()  # pyright: ignore
    except AbruptlabError as error:
        sys.exit(f"abruptlab: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _typed() -> str:
    """The command as the user typed it."""
    return shlex.join(["abruptlab", *sys.argv[1:]])


def _base_config(words: list[str]) -> RunConfig:
    """The configuration that the flags of `train` and `reproduce` override."""
    if not words or words[0] not in ("train", "reproduce") or {"-h", "--help"} & set(words[1:2]):
        return RunConfig()
    if "--config" in words[1:-1]:
        return RunConfig.read(Path(words[words.index("--config") + 1]))
    if len(words) > 1 and not words[1].startswith("-"):
        return preset(words[1])
    if words[0] == "reproduce":
        return preset("laptop")
    raise ConfigError(f"train: expected a preset ({', '.join(PRESETS)}) or --config FILE")


def _train(options: _Training, *, resume: bool) -> "Run":
    from rich.console import Console

    from abruptlab.training import train

    config, folder = options.run, options.folder
    console = Console(stderr=True)

    def report(progress: "Progress") -> None:
        line = _status_line(progress)
        if console.is_terminal:  # one line, written over and over
            room = console.width - 1
            console.print(line[:room].ljust(room), end="\r", highlight=False, markup=False)
        else:
            console.print(line, highlight=False, markup=False, soft_wrap=True)

    def warn(message: str) -> None:
        console.print(f"abruptlab: {message}", highlight=False, soft_wrap=True)

    try:
        run = train(config, folder, resume=resume, device=options.device, report=report, warn=warn)
    except KeyboardInterrupt:
        command = shlex.join(
            ["abruptlab", "train", "--config", f"{folder}/config.toml", "--out", str(folder), "--resume"]
        )
        console.print(f"\nstopped; to go on: {command}", highlight=False, soft_wrap=True)
        raise
    console.print()
    _print_state(run)
    return run


def _status_line(progress: "Progress") -> str:
    minutes, seconds = divmod(round(progress.seconds_left), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"step {progress.step}/{progress.steps} {progress.step / progress.steps:.0%} "
        f"{hours}:{minutes:02}:{seconds:02} left  loss {progress.loss:.4f} L_obs {progress.loss_observed:.1e} "
        f"L_mask {progress.loss_masked:.4f} {progress.ms_per_step:.3g} ms/step"
    )


def _print_state(run: "Run") -> None:
    """The last metrics, the drop, and the checkpoints at the story's moments."""
    metrics, drop = run.metrics, run.drop
    done = len(metrics["step"])
    print(f"run         {run.folder}: {done} of {run.config.training.steps} steps")
    if done:
        last = {name: values[-100:].mean() for name, values in metrics.items()}
        print(
            f"last        L {last['loss']:.5f}  L_obs {last['loss_observed']:.2e}  L_mask {last['loss_masked']:.5f}"
            f"  (mean of the last {min(100, done)} steps), {metrics['elapsed_s'][-1]:.0f} s of training"
        )
    if drop is None:
        print("drop        none found")
    else:
        end = "still falling" if drop.end is None else f"end {drop.end}"
        print(
            f"drop        plateau {drop.plateau:.4f}, onset {drop.onset}, {end}, {drop.depth:.1f} times lower after it"
        )
    print("checkpoints " + ", ".join(f"{name} {step}" for name, step in run.milestones.items()))


def _print_verdicts(verdicts: "Sequence[Verdict]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("claim", "measured", "expected", "verdict", title="Claims of the paper")
    for verdict in verdicts:
        word = {True: "holds", False: "FAILS", None: "not judged"}[verdict.holds]
        measured = "–" if verdict.measured is None else f"{verdict.measured:g}"
        table.add_row(escape(verdict.claim), measured, escape(verdict.expected), word)
    Console().print(table)
