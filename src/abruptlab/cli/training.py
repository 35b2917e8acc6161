"""`train` and `reproduce`."""

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from abruptlab.cli.looking import make_all
from abruptlab.cli.printing import hours, print_state, print_verdicts
from abruptlab.cli.reporting import write_page
from abruptlab.cli.sweeping import Sweep
from abruptlab.config import RunConfig
from abruptlab.errors import ConfigError
from abruptlab.presets import PRESETS, preset

if TYPE_CHECKING:
    from abruptlab.paper import Findings
    from abruptlab.run.run import Run
    from abruptlab.training.loop import Progress


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
        from abruptlab.training.ranks import torchrun

        with torchrun(self.device) as device:
            _train(replace(self, device=device), resume=self.resume)


@dataclass
class Reproduce(_Training):
    """Train (or go on training), then make every figure, judge every claim, and build the page."""

    everything: bool = False
    """All results at laptop's scale: the runs laptop and gpt-laptop, the sweeps variants and components. It takes
    hours, and goes on where it stopped when it is called again."""
    only: tuple[Literal["laptop", "gpt-laptop", "variants", "components"], ...] = ()
    """With --everything: these alone."""

    def __call__(self) -> None:
        if not self.everything:
            if self.only:
                raise ConfigError("--only: expected together with --everything")
            return self._reproduce()
        if self.preset or self.config_file or self.out or self.run != preset("laptop"):
            raise ConfigError("--everything: expected no preset, --config, --out or field of a run beside it")
        from abruptlab.paper import Findings
        from abruptlab.report import build_index
        from abruptlab.sweep.file import Sweep as SweepFolder

        for name in self.only or ("laptop", "gpt-laptop", "variants", "components"):
            print(f"== {name}")
            if name in PRESETS:
                Reproduce(run=preset(name), device=self.device)._reproduce()
            else:
                Sweep(name, device=self.device)()
                found = Findings(SweepFolder(Path("runs") / "sweeps" / name))
                _look_at(found)
                print(f"page: {build_index(found)}")
        return None

    def _reproduce(self) -> None:
        from abruptlab.paper import Findings

        found = Findings(_train(self, resume=True))
        _look_at(found)
        print(f"page: {write_page(found)}")


def _look_at(found: "Findings") -> None:
    """Make all figures and judge all claims."""
    from abruptlab.paper import write_claims

    make_all(found)
    _, verdicts = write_claims(found)
    print_verdicts(verdicts)


def base_config(words: list[str]) -> RunConfig:
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

    from abruptlab.training.loop import train
    from abruptlab.training.ranks import Ranks

    ranks = Ranks()
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
        if ranks.leads:
            words = ["train", "--config", f"{folder}/config.toml", "--out", str(folder), "--resume"]
            command = shlex.join([*ranks.program, *words])
            console.print(f"\nstopped; to go on: {command}", highlight=False, soft_wrap=True)
        raise
    if ranks.leads:
        console.print()
        print_state(run)
    return run


def _status_line(progress: "Progress") -> str:
    return (
        f"step {progress.step}/{progress.steps} {progress.step / progress.steps:.0%} "
        f"{hours(progress.seconds_left)} left  loss {progress.loss:.4f} L_obs {progress.loss_observed:.1e} "
        f"L_mask {progress.loss_masked:.4f} {progress.ms_per_step:.3g} ms/step"
    )
