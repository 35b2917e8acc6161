"""The command line: the one place that parses arguments, prints, and turns errors into an exit status.

Heavy modules (PyTorch, matplotlib, rich) are imported where they are used: `abruptlab --help` must answer at once.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import tyro
from tyro.conf import subcommand

from abruptlab.cli.completing import Complete
from abruptlab.cli.importing import Import
from abruptlab.cli.interventions import Ablate, Patch, Switch
from abruptlab.cli.looking import Claims, Figure, Figures, Paper, Presets, Show, Table
from abruptlab.cli.reporting import Report
from abruptlab.cli.sweeping import Sweep
from abruptlab.cli.training import Reproduce, Train, base_config
from abruptlab.cli.watching import Watch
from abruptlab.errors import AbruptlabError

SUMMARY = "A laboratory for abrupt learning: train a transformer, catch the sudden drop, see what changed inside."


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of `abruptlab`. Exits with 0, 1 after an error of the user's or the machine's (one line on
    stderr), 2 for a command line that does not parse, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        base = base_config(words)
        commands = (
            Annotated[Train, subcommand("train", default=Train(run=base))]
            | Annotated[Reproduce, subcommand("reproduce", default=Reproduce(run=base))]
            | Annotated[Sweep, subcommand("sweep")]
            | Annotated[Watch, subcommand("watch")]
            | Annotated[Report, subcommand("report")]
            | Annotated[Show, subcommand("show")]
            | Annotated[Presets, subcommand("presets")]
            | Annotated[Paper, subcommand("paper")]
            | Annotated[Figure, subcommand("figure")]
            | Annotated[Figures, subcommand("figures")]
            | Annotated[Table, subcommand("table")]
            | Annotated[Claims, subcommand("claims")]
            | Annotated[Complete, subcommand("complete")]
            | Annotated[Ablate, subcommand("ablate")]
            | Annotated[Patch, subcommand("patch")]
            | Annotated[Switch, subcommand("switch")]
            | Annotated[Import, subcommand("import")]
        )
        tyro.cli(commands, prog="abruptlab", description=SUMMARY, args=words)()  # pyright: ignore
    except AbruptlabError as error:
        sys.exit(f"abruptlab: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
