"""`train` and `reproduce`."""

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from abruptlab.arguments import require
from abruptlab.cli.baseconfig import is_folder
from abruptlab.cli.looking import make_all
from abruptlab.cli.printing import command_line, hours, plain_console, print_state, print_verdicts
from abruptlab.cli.sweeping import Sweep
from abruptlab.config import RunConfig
from abruptlab.errors import AbruptlabError, ConfigError, RunError
from abruptlab.presets import preset

if TYPE_CHECKING:
    from abruptlab.paper import Findings
    from abruptlab.run.run import Run
    from abruptlab.training.loop import Progress
    from abruptlab.training.ranks import Ranks


@dataclass
class _Training:
    preset: Positional[str | None] = None
    """Name of a preset (see `abruptlab presets`), or the folder of a run, which is gone on with, beyond its end with
    more --steps."""
    config_file: Annotated[Path | None, arg(name="config")] = None
    """TOML file to use instead of a preset."""
    out: Path | None = None
    """Run folder (default: runs/NAME-seedSEED, of a branch runs/NAME-seedSEED-fromSTEP)."""
    device: str | None = None
    """cpu, cuda, cuda:N or mps (default: the fastest there is)."""
    track: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Trackers that are given the metrics, too, beside the run folder."""
    run: OmitArgPrefixes[RunConfig] = field(default_factory=RunConfig)
    """The configuration: every field is a flag, and overrides the preset or the file."""

    @property
    def folder(self) -> Path:
        """Where the run is, or will be. Raises `ConfigError` if that is said twice."""
        if is_folder(self.preset):
            if self.out is not None:
                raise ConfigError(
                    f"--out: expected none, as {self.preset} is gone on with; to branch off: train --from"
                )
            return Path(str(self.preset))
        start = self.run.start
        branch = f"-from{start.step}" if start.run and not start.trained else ""
        return self.out or Path("runs") / f"{self.run.name}-seed{self.run.seed}{branch}"

    def going_on(self, ranks: "Ranks") -> str:
        """The command that goes on with it."""
        words = ["train", "--config", f"{self.folder}/config.toml", "--out", str(self.folder), "--resume"]
        if self.device and ranks.count == 1:  # else each process has one of its own
            words += ["--device", self.device]
        return shlex.join([*ranks.program, *words, *(["--track", *self.track] if self.track else [])])


@dataclass
class Train(_Training):
    """Train a preset or a configuration file, go on with a run, or branch off from one; any field of the configuration
    is a flag."""

    branch: Annotated[str | None, arg(name="from", metavar="RUN@STEP")] = None
    """Start from this checkpoint of another run, with its configuration: its weights, with a fresh optimiser, at step
    0. RUN is a folder or a run of the package, STEP a number or a milestone (default: final)."""
    resume: bool = False
    """Go on where the run in the folder stopped."""

    def __call__(self) -> None:
        from abruptlab.training.ranks import torchrun

        with torchrun(self.device) as device:
            _train(replace(self, device=device), resume=self.resume or is_folder(self.preset))


@dataclass
class Reproduce(_Training):
    """Train (or go on training), then make every figure, judge every claim, and build the page."""

    preset: Positional[str | None] = None
    """Name of a preset (laptop if there is none), or the folder of a run, as of `train`."""
    everything: bool = False
    """All results at laptop's scale, of both papers: the runs laptop, gpt-laptop and window-sum, and the sweeps (see
    --only). It takes many hours, and goes on where it stopped when it is called again."""
    only: tuple[str, ...] | None = None
    """With --everything: these alone; a wrong one lists them all."""

    def __call__(self) -> None:
        from abruptlab.training.ranks import require_no_torchrun

        require_no_torchrun("train under torchrun first, then reproduce that run's folder without it")
        if not self.everything:
            if self.only is not None:
                raise ConfigError("--only: expected together with --everything")
            return self._reproduce()
        if self.preset or self.config_file or self.out or self.run != preset("laptop"):
            raise ConfigError("--everything: expected no preset, --config, --out or field of a run beside it")
        from abruptlab.paper.plan import ON_A_LAPTOP

        require(self.only is None or len(self.only) > 0, "--only", "at least one", "none")
        if strange := [name for name in self.only or () if name not in ON_A_LAPTOP]:
            raise ConfigError(f"--only: expected some of {', '.join(ON_A_LAPTOP)}, got {strange[0]}")
        failed: list[str] = []
        for name in self.only or ON_A_LAPTOP:
            print(f"== {name}", flush=True)
            try:
                self._reproduce_part(name)
            except AbruptlabError as error:  # the others do not wait for it
                plain_console(stderr=True).print(f"abruptlab: {name}: {error}", soft_wrap=True)
                failed.append(name)
        if failed:
            raise RunError(f"{', '.join(failed)} failed, as said above; to try again: {command_line()}")
        return None

    def _reproduce_part(self, name: str) -> None:
        """One of the parts of everything."""
        from abruptlab.paper import Findings
        from abruptlab.paper.plan import ON_A_LAPTOP
        from abruptlab.report import build_index
        from abruptlab.sweep.file import Sweep as SweepFolder

        if not ON_A_LAPTOP[name].is_sweep:
            return Reproduce(run=preset(name), device=self.device, track=self.track)._reproduce()
        for parent, seed in ON_A_LAPTOP[name].parents:
            run = replace(preset(parent), seed=seed)
            _train(Reproduce(run=run, device=self.device, track=self.track), resume=True)
        Sweep(name, device=self.device, track=self.track)()
        findings = Findings(SweepFolder(Path("runs") / "sweeps" / name), keep=True)
        _look_at(findings)
        print(f"page: {build_index(findings)}")
        return None

    def going_on(self, ranks: "Ranks") -> str:
        """The same command, which goes on by itself, and makes the figures."""
        return command_line()

    def _reproduce(self) -> None:
        from abruptlab.paper import Findings
        from abruptlab.report import build_report

        findings = Findings(_train(self, resume=True), keep=True)
        _look_at(findings)
        print(f"page: {build_report(findings)}")


def _look_at(findings: "Findings") -> None:
    """Make all figures and judge all claims."""
    from abruptlab.paper import write_claims

    make_all(findings)
    _, verdicts = write_claims(findings)
    print_verdicts(verdicts)


def _train(options: _Training, *, resume: bool) -> "Run":
    from abruptlab.training.loop import train
    from abruptlab.training.ranks import Ranks

    ranks = Ranks()
    config, folder = options.run, options.folder
    console, trained = plain_console(stderr=True), False

    def report(progress: "Progress") -> None:
        nonlocal trained
        line, trained = _status_line(progress), True
        if console.is_terminal:  # one line, written over and over
            room = console.width - 1
            console.print(line[:room].ljust(room), end="\r")
        else:
            console.print(line, soft_wrap=True)

    def warn(message: str) -> None:
        console.print(f"abruptlab: {message}", soft_wrap=True)

    try:
        run = train(config, folder, resume=resume, device=options.device, report=report, warn=warn, track=options.track)
    except KeyboardInterrupt:
        if ranks.leads and not (folder / "config.toml").is_file():
            console.print("\nstopped before the first step; nothing was written", soft_wrap=True)
        elif ranks.leads:
            console.print(f"\nstopped; to go on: {options.going_on(ranks)}", soft_wrap=True)
        raise
    if ranks.leads and trained:
        console.print()
        print_state(run)
    return run


def _status_line(progress: "Progress") -> str:
    (_, loss), *others = progress.losses.items()
    return (
        f"step {progress.step}/{progress.steps} {progress.step / progress.steps:.0%} "
        f"{hours(progress.seconds_left)} left  loss {loss:.4f} "
        f"{' '.join(f'{symbol} {value:.3g}' for symbol, value in others)} {progress.ms_per_step:.3g} ms/step"
    )
