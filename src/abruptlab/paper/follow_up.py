"""The ledger of the follow-up paper (arXiv 2506.13688): what it says, how that is judged, and what came of it."""

from dataclasses import dataclass
from pathlib import Path

from abruptlab.errors import RunError
from abruptlab.paper.plan import EASY, MAIN, OWN_PARTS, PLATEAU, SPARED, TASKS, UNSEEN, Home
from abruptlab.paper.verdict import Verdict, read_verdicts


@dataclass(frozen=True)
class Said:
    """Something that the paper says, and the claims that judge it."""

    text: str
    home: Home | None = None  # what is judged; None where nothing here judges it
    claims: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What judges it."""
        return f"abruptlab claims {self.home.subject}" if self.home else ""


SAID: tuple[Said, ...] = (
    Said("A plateau, then an abrupt change", MAIN, ("plateau-drop", "plateau-accuracy")),
    Said(
        "So on every task but the easy ones",
        TASKS,
        (
            "task-prefix-sums",
            "task-permutation",
            "task-concatenated-windows",
            "task-histogram",
            "task-addition",
            "tasks-easy",
        ),
    ),
    Said("On the plateau a partial solution", MAIN, ("plateau-partial",)),
    Said(
        "On the plateau repetition and collapse, which fade with the drop",
        MAIN,
        ("plateau-repetition", "plateau-collapse", "plateau-repetition-fades", "plateau-collapse-fades"),
    ),
    Said("The collapse as the public code takes it", UNSEEN, ("plateau-collapse-code",)),
    Said("Attention rises before the drop", MAIN, ("plateau-attention-first", "plateau-attention-steady")),
    Said(
        "Useful attention multiplied shortens or lengthens it",
        PLATEAU,
        ("attention-shortens", "attention-lengthens", "attention-biases", "attention-late"),
    ),
    Said(
        "The same, but at the answer's first place, as in the public code",
        SPARED,
        ("spared-shortens", "spared-lengthens", "spared-biases", "spared-late"),
    ),
    Said("Attention that starts as it ends removes most of it", OWN_PARTS, ("own-attention", "own-others")),
    Said("Attention that stays at random lengthens it", PLATEAU, ("frozen-attention", "frozen-others")),
    Said(
        "Other sizes, models and optimisers: the same picture",
        TASKS,
        ("same-with-sums", "same-with-models", "same-with-optimisers"),
    ),
    Said("Muon: shorter", PLATEAU, ("muon-shortens",)),
    Said("With more blocks the easiest task has one", EASY, ("blocks-plateau",)),
    Said("Large language models show the same biases early in their training"),
)


def outcomes(said: Said, results: Path) -> list[Verdict]:
    """The verdicts found in the folder `results` on the claims that judge it, in their order; one that is not there has
    none.

    Raises `RunError` if there is no such folder, or it holds verdicts that cannot be read.
    """
    if not results.is_dir():
        raise RunError(f"no folder of results at {results}; expected the one that the project's repository has")
    if said.home is None:
        return []
    there = {verdict.id: verdict for verdict in read_verdicts(results / said.home.folder)}
    return [there[name] for name in said.claims if name in there]
