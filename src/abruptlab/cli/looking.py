"""What looks without training: `show`, `presets`, `paper`, `figure`, `figures`, `table`, `claims`."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tyro.conf import OmitArgPrefixes, Positional

from abruptlab.arguments import require
from abruptlab.cli.printing import command_line, print_state, print_verdicts
from abruptlab.errors import AbruptlabError, ConfigError
from abruptlab.presets import PRESETS
from abruptlab.system.tracking import track

if TYPE_CHECKING:
    from abruptlab.paper import FigureSpec, Findings, TableSpec
    from abruptlab.run.run import Run


def open_run(name: str) -> "Run":
    """`pretrained.find_run`, imported when it is needed."""
    from abruptlab.run.pretrained import find_run

    return find_run(name)


@dataclass
class Look:
    """What is looked at."""

    run: Positional[str]
    """Run folder, or a run that comes with the package: laptop, pocket or base."""
    seed: int = 0
    """Decides the matrices that are looked at; no training ever sees them."""
    matrices: int | None = None
    """How many of them (default: enough for small error bars)."""

    @property
    def options(self) -> dict[str, Any]:
        """The options that were given, by the names that measurements have for them."""
        require(self.seed >= 0, "--seed", "0 or more", self.seed)
        require(self.matrices is None or self.matrices >= 2, "--matrices", "at least 2", self.matrices)
        return {"seed": self.seed} | ({} if self.matrices is None else {"matrices": self.matrices})


@dataclass
class LookAtStep(Look):
    """What is looked at, and when in the training."""

    step: str | None = None
    """Which checkpoint: a step, or start, before-drop, onset, after-drop, final (default: what the paper shows)."""

    @property
    def options(self) -> dict[str, Any]:
        return super().options | ({} if self.step is None else {"step": self.step})

    @property
    def given(self) -> list[str]:
        """The options that are not what they are if nobody says anything."""
        usual = {field.name: field.default for field in fields(self)}
        return [option for option, value in self.options.items() if value != usual[option]]


@dataclass
class LookAndWrite(LookAtStep):
    """What is looked at, and where the result goes."""

    run: Positional[str]
    """Run folder, a run that comes with the package (laptop, pocket, base), or a sweep's folder."""
    out: Path | None = None
    """Where to write (default: the folder itself; for a run of the package, runs/NAME-shipped)."""

    def findings(self) -> "Findings":
        """The findings on the run, or the sweep."""
        from abruptlab.paper import FIGURES, TABLES, Findings, options_of
        from abruptlab.run.pretrained import is_shipped
        from abruptlab.sweep.file import Sweep

        if self.out is not None and self.out.suffix in (".png", ".pdf"):
            raise ConfigError(f"--out: expected a folder, in which figures have names of their own, got {self.out}")
        if (Path(self.run) / "sweep.toml").is_file():
            findings = Findings(Sweep(self.run), self.out, keep=True, **self.options)
            known = {
                option
                for spec in (*FIGURES.values(), *TABLES.values())
                if findings.suit(spec.sweep)
                for option in options_of(spec.measure)
            }
            for option in self.given:
                if option not in known:
                    raise ConfigError(f"--{option}: expected a run to look at, {self.run} is a sweep")
            return findings
        run = open_run(self.run)
        folder = Path("runs") / f"{self.run}-shipped" if is_shipped(self.run) else run.folder
        findings = Findings(run, self.out or folder, keep=True, **self.options)
        if self.step is not None:
            run.resolve(self.step)  # a mistake is said once, not by every figure
        return findings


@dataclass
class Show:
    """Show a run: its configuration, its drop and its last metrics."""

    run: Positional[str]
    """Run folder, or a run that comes with the package: laptop, pocket or base."""

    def __call__(self) -> None:
        run = open_run(self.run)
        _ = run.metrics  # if they are damaged, that line is all
        print(run.config.to_toml())
        print_state(run)
        task = run.config.task
        example = task.text(next(task.stream(1, run.config.seed)), 0)
        print(f"example     {textwrap.indent(example, ' ' * 12).lstrip()}")
        if run.steps:
            run.load(run.steps[-1])  # damage is said, after all that is intact


@dataclass
class Presets:
    """List the presets."""

    def __call__(self) -> None:
        for name, (summary, _) in PRESETS.items():
            print(f"{name:10}  {summary}")


@dataclass
class Paper:
    """List every figure and table of the paper, and what the follow-up paper says: the command, and what came of the
    claims here."""

    paper: Positional[Literal["2410.22244", "2506.13688"] | None] = None
    """arXiv number of one of the two (default: both)."""
    results: Path = Path("results")
    """Folder of the results."""

    def __call__(self) -> None:
        if self.paper != "2506.13688":
            self._print_paper()
        if self.paper is None:
            print()
        if self.paper != "2410.22244":
            self._print_follow_up()

    def _print_paper(self) -> None:
        from tabulate import tabulate

        from abruptlab.paper.ledger import ledger
        from abruptlab.paper.plan import SCALES

        rows = [(line.name, line.title, *line.outcomes.values(), line.command) for line in ledger(self.results)]
        print(tabulate(rows, ("", "", *SCALES.values(), "command at laptop's scale"), "plain"))
        print("runs/gpt-laptop-seed0 is made by: abruptlab train gpt-laptop; runs/sweeps/NAME by: abruptlab sweep NAME")

    def _print_follow_up(self) -> None:
        from tabulate import tabulate

        from abruptlab.paper.follow_up import SAID, outcomes

        rows = []
        for said in SAID:
            by_claim = {verdict.id: verdict.said for verdict in outcomes(said, self.results)}
            each = [(claim, by_claim.get(claim, "not run yet")) for claim in said.claims]
            for index, (claim, outcome) in enumerate(each or [("", "not judged: it needs language models")]):
                rows.append((said.text if index == 0 else "", claim, outcome, said.command if index == 0 else ""))
        print(tabulate(rows, ("the follow-up paper", "claim", "at its own size", "command"), "plain"))
        print("runs/window-sum-seed0 is made by: abruptlab train window-sum; runs/sweeps/NAME by: abruptlab sweep NAME")


@dataclass
class Figure:
    """Make one figure from a run or a sweep: PNG, PDF, its data, and how it was made."""

    id: Positional[str]
    """Which figure, such as 4; a wrong one lists them all."""
    look: OmitArgPrefixes[LookAndWrite]

    def __call__(self) -> None:
        from abruptlab.paper import FIGURES, make_figure

        findings = self.look.findings()
        _check_options("figure", self.id, FIGURES, self.look)
        for path in make_figure(self.id, findings, command_line()):
            print(path)


@dataclass
class Table:
    """Make one table from a run or a sweep: CSV, Markdown, LaTeX, and how it was made."""

    id: Positional[str]
    """Which table, such as 1; a wrong one lists them all."""
    look: OmitArgPrefixes[LookAndWrite]

    def __call__(self) -> None:
        from abruptlab.paper import TABLES, make_table

        findings = self.look.findings()
        _check_options("table", self.id, TABLES, self.look)
        paths = make_table(self.id, findings, command_line())
        print(next(path for path in paths if path.suffix == ".md").read_text(encoding="utf-8"))
        for path in paths:
            print(path)


@dataclass
class Figures:
    """Make every figure and table that a run or a sweep can give."""

    look: OmitArgPrefixes[LookAndWrite]

    def __call__(self) -> None:
        make_all(self.look.findings())


@dataclass
class Claims:
    """Judge the claims of the paper: each a number against a bound and a null that must fail it. Of several runs that
    differ in their seed alone, a claim holds or fails where all agree. Also written to claims.json."""

    runs: Positional[tuple[str, ...]]
    """Run folders, runs that come with the package (laptop, pocket, base), or one sweep's folder."""
    out: Path | None = None
    """Where to write (default: the folder itself; for a run of the package, runs/NAME-shipped; of several runs, each
    one's verdicts to its own folder, and those on all together only if this is given)."""
    seed: int = 0
    """Decides the matrices that are looked at; no training ever sees them."""
    matrices: int | None = None
    """How many of them (default: enough for small error bars)."""
    device: str | None = None
    """cpu, cuda, cuda:N or mps (default: the fastest there is)."""

    def __call__(self) -> None:
        from abruptlab.paper import judge, save_claims, write_claims
        from abruptlab.paper.judge import require_alike
        from abruptlab.paper.verdict import together, write_verdicts
        from abruptlab.system.devices import computing_on

        if not self.runs:
            raise ConfigError("claims: expected a run, or several of one configuration")
        alone = self.out if len(self.runs) == 1 else None
        if alone is None and self.out is not None and (self.out / "config.toml").is_file():
            raise ConfigError(f"--out: expected no folder of a run, which has claims of its own, got {self.out}")
        looks = [LookAndWrite(run=run, out=alone, seed=self.seed, matrices=self.matrices) for run in self.runs]
        several = [look.findings() for look in looks]
        with computing_on(self.device):
            if len(several) == 1:
                path, verdicts = write_claims(several[0])
                print_verdicts(verdicts)
                print(path)
                return
            require_alike(several)
            each = []
            for findings in several:
                path, verdicts = save_claims(findings, judge(findings))
                each.append(verdicts)
                print(path)
        print_verdicts(together(each))
        if self.out is not None:
            write_verdicts(self.out / "claims.json", together(each))
            print(self.out / "claims.json")


def make_all(findings: "Findings") -> None:
    """Every figure and table that the run or sweep can give, with progress; those that it cannot give are named."""
    from abruptlab.paper import FIGURES, TABLES, make_figure, make_table, shown_in

    figures = {name: spec for name, spec in FIGURES.items() if findings.suit(spec.sweep)}
    if len(figures) > 1:
        figures.pop("sweep", None)  # that has all families once more, for sweeps without figures of their own
    jobs = [("figure", name, spec, make_figure) for name, spec in figures.items()]
    jobs += [("table", name, spec, make_table) for name, spec in TABLES.items() if findings.suit(spec.sweep)]
    missing: dict[str, list[str]] = {}  # by why
    for kind, name, spec, make in track(jobs, "figures and tables"):
        try:
            shown_in(spec, findings)
        except AbruptlabError as error:
            missing.setdefault(str(error), []).append(f"{kind} {name}")
        else:
            print(f"{kind} {name}: {make(name, findings, command_line())[0]}")
    for why, names in missing.items():
        print(f"not from this {'sweep' if findings.sweep else 'run'}: {', '.join(names)}: {why}")


def _check_options(kind: str, name: str, specs: "Mapping[str, FigureSpec | TableSpec]", look: LookAtStep) -> None:
    """An option that a figure has no use for is a mistake, not to be passed over."""
    if name not in specs:
        return
    from abruptlab.paper import options_of

    known = options_of(specs[name].measure)
    for option in look.given:
        if option not in known:
            has = ", ".join(f"--{other}" for other in ("step", "seed", "matrices") if other in known) or "none"
            raise ConfigError(f"{kind} {name} has no --{option}; of these options it has: {has}")
