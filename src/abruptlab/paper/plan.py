"""What has to be run for the results, and where they are: the one list of it, by what it is of and at which scale.

The ledgers look here for what came of it, `reproduce --everything` for what there is to run at laptop's scale. At the
paper's scale a run is taken when a GPU is at hand, piece by piece: results/paper/PLAN.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# By their size: the paper's own, its task in a model a third as wide, small matrices.
SCALES = {"paper": "the paper's scale", "base": "the paper's task, width 256", "laptop": "laptop's scale"}
SMALLEST = "laptop"


@dataclass(frozen=True)
class Home:
    """A run or a sweep."""

    name: str  # of its preset or its sweep
    subject: str  # as a command is given it, once it is trained
    folder: str  # of its figures, tables and claims, in the folder of results
    parents: tuple[tuple[str, int], ...] = ()  # presets and seeds of the runs whose parts those of a sweep take

    @property
    def is_sweep(self) -> bool:
        """Whether it is a sweep at laptop's scale; a preset may have the same name."""
        return self.subject.startswith("runs/sweeps/")


# By what the paper's figures are of: a kind of model, or a sweep.
PAPER: Mapping[str, Mapping[str, Home]] = {
    "encoder": {
        "paper": Home("paper", "runs/paper/paper-seed1", "paper/paper-seed1"),
        "base": Home("base", "runs/base-seed0", "base"),
        "laptop": Home("laptop", "laptop", "laptop"),
    },
    "decoder": {
        "paper": Home("gpt", "runs/gpt-seed0", "paper/gpt-softmax"),
        "laptop": Home("gpt-laptop", "runs/gpt-laptop-seed0", "gpt-laptop"),
    },
    "variants": {
        "paper": Home("variants-paper", "runs/paper/variants", "paper/variants"),
        "base": Home("variants-base", "runs/paper/variants-base", "paper/variants-base"),
        "laptop": Home("variants", "runs/sweeps/variants", "pocket"),
    },
    "components": {
        "paper": Home("components-paper", "runs/paper/components", "paper/components"),
        "laptop": Home("components", "runs/sweeps/components", "pocket/components"),
    },
}


def _sweep(name: str, *parents: tuple[str, int]) -> Home:
    return Home(name, f"runs/sweeps/{name}", f"loss-plateau/{name}", parents)


# The follow-up paper at its own size; the sweeps beside it are ours. The first is a run, whose parts the second takes.
MAIN = Home("window-sum", "runs/window-sum-seed0", "loss-plateau/window-sum")
UNSEEN = Home(MAIN.name, "runs/window-sum-seed40", "loss-plateau/unsolved")  # at seeds 40 to 47, in bf16
PLATEAU = _sweep("plateau", (MAIN.name, 0))
SPARED = _sweep("plateau-spared")
EASY = _sweep("repeat")
OWN_PARTS = _sweep("own-parts", *((MAIN.name, seed) for seed in (1, 2, 3)))
TASKS = _sweep("tasks")
LARGER_MATRICES: Mapping[str, Home] = {
    "base": Home("causal-base", "runs/paper/causal-base", "loss-plateau/causal-base"),
    "laptop": _sweep("causal-laptop", *((PAPER["encoder"][SMALLEST].name, seed) for seed in (0, 2, 3))),
}
BESIDE = (
    _sweep("causal"),
    LARGER_MATRICES[SMALLEST],
    *map(_sweep, ("announce-sums", "announce-rates", "announce-again", "announce")),
)

ON_A_LAPTOP: Mapping[str, Home] = {
    home.name: home
    for home in (*(homes[SMALLEST] for homes in PAPER.values()), MAIN, PLATEAU, SPARED, OWN_PARTS, EASY, TASKS, *BESIDE)
}
"""All that `reproduce --everything` runs, by name, in this order."""
