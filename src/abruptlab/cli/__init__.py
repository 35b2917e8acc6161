"""The command line: the one place that parses arguments, prints, and turns errors into an exit status.

Heavy modules (PyTorch, matplotlib, rich) are imported where they are used: `abruptlab --help` must answer at once.
"""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated

import tyro
from tyro.conf import subcommand

import abruptlab
from abruptlab.arguments import require
from abruptlab.cli.baseconfig import base_config
from abruptlab.cli.completing import Complete
from abruptlab.cli.exporting import Export
from abruptlab.cli.importing import Import
from abruptlab.cli.interventions import Ablate, Patch, Switch
from abruptlab.cli.looking import Claims, Figure, Figures, Paper, Presets, Show, Table
from abruptlab.cli.reporting import Report
from abruptlab.cli.sweeping import Sweep
from abruptlab.cli.tracking import Tracking
from abruptlab.cli.training import Reproduce, Train
from abruptlab.cli.watching import Watch
from abruptlab.config import RunConfig
from abruptlab.errors import AbruptlabError
from abruptlab.system.tracking import tracked_by

SUMMARY = (
    "A laboratory for abrupt learning: train a transformer, catch the sudden drop, see what changed inside. "
    "`abruptlab --version` prints the version."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of `abruptlab`. Exits with 0, 1 after an error of the user's or the machine's (one line on
    stderr), 2 for a command line that does not parse, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if sys.stdout is None:
        sys.exit("abruptlab: standard output is closed; to see nothing of it: > /dev/null")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no × still shows the rest
    try:
        try:
            _run(words)
        finally:
            sys.stdout.flush()
    except AbruptlabError as error:
        sys.exit(f"abruptlab: {error}")
    except BrokenPipeError:  # `abruptlab presets | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        sys.exit(f"abruptlab: {error.filename or 'the machine'}: {error.strerror or error}")
    except MemoryError:
        sys.exit("abruptlab: out of memory")
    except RuntimeError as error:  # PyTorch's, which is not imported just to be named
        of_gpu = type(error).__name__ == "OutOfMemoryError"
        if not of_gpu and "DefaultCPUAllocator: can't allocate memory" not in str(error):
            raise
        what = "the GPU's memory" if of_gpu else "memory"
        sys.exit(f"abruptlab: out of {what}; a training takes less with a smaller --micro-batch")
    except KeyboardInterrupt:
        sys.exit(130)


def _run(words: list[str]) -> None:
    """Parse the words and do what they say."""
    if words == ["--version"]:
        print(abruptlab.__version__)
        return
    _require_once(words)
    bases = {"train": Train, "reproduce": Reproduce}
    name = words[0] if words else ""
    base = base_config(bases[name], name, words[1:]) if name in bases else RunConfig()
    commands = (
        Annotated[Train, subcommand(default=Train(run=base))]
        | Annotated[Reproduce, subcommand(default=Reproduce(run=base))]
        | (Sweep | Watch | Report | Show | Presets | Paper | Figure | Figures | Table | Claims)
        | (Export | Complete | Ablate | Patch | Switch | Import)
    )  # each is called as its class
    command = tyro.cli(commands, prog="abruptlab", description=SUMMARY, args=words)  # pyright: ignore
    with Tracking() as tracking, tracked_by(tracking):
        command()


def _require_once(words: Sequence[str]) -> None:
    """Raises `ConfigError` for a flag that is given twice: one of its values would be passed over."""
    flags = [word.partition("=")[0].replace("_", "-").replace("--no-", "--") for word in words if word.startswith("--")]
    for flag, count in Counter(flags).items():
        require(count == 1, flag, "once", f"it {count} times")
