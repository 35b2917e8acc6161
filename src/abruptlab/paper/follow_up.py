"""The ledger of the follow-up paper (arXiv 2506.13688): what it says, how that is judged, and what came of it."""

from dataclasses import dataclass
from pathlib import Path

from abruptlab.errors import RunError
from abruptlab.paper.verdict import Verdict, read_verdicts

HOMES = {  # what is judged: where it is in the folder of results
    "runs/window-sum-seed0": "loss-plateau/window-sum",
    "runs/sweeps/plateau": "loss-plateau/plateau",
    "runs/sweeps/repeat": "loss-plateau/repeat",
}


@dataclass(frozen=True)
class Said:
    """Something that the paper says, and the claims that judge it."""

    text: str
    subject: str = ""  # a key of HOMES; "" where nothing here judges it
    claims: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What judges it."""
        return f"abruptlab claims {self.subject}" if self.subject else ""


MAIN, SWEEP, EASY = HOMES
SAID: tuple[Said, ...] = (
    Said("A plateau, then an abrupt change", MAIN, ("plateau-drop", "plateau-accuracy")),
    Said("On the plateau a partial solution", MAIN, ("plateau-partial",)),
    Said(
        "On the plateau repetition and collapse, which fade with the drop",
        MAIN,
        ("plateau-repetition", "plateau-collapse", "plateau-repetition-fades", "plateau-collapse-fades"),
    ),
    Said("Attention rises before the drop", MAIN, ("plateau-attention-first", "plateau-attention-steady")),
    Said(
        "Useful attention multiplied shortens or lengthens it",
        SWEEP,
        ("attention-shortens", "attention-lengthens", "attention-biases", "attention-late"),
    ),
    Said("Attention that starts as it ends removes most of it", SWEEP, ("parts-attention", "parts-others")),
    Said("Attention that stays at random lengthens it", SWEEP, ("frozen-attention", "frozen-others")),
    Said("Other optimisers: the same picture, Muon shorter", SWEEP, ("muon-shortens",)),
    Said("Easy tasks have none, with more blocks one appears", EASY, ("easy-no-plateau", "blocks-plateau")),
    Said("Large language models show the same biases early in their training"),
)


def outcomes(said: Said, results: Path) -> list[Verdict]:
    """The verdicts found in the folder `results` on the claims that judge it, in their order; one that is not there has
    none.

    Raises `RunError` if there is no such folder, or it holds verdicts that cannot be read.
    """
    if not results.is_dir():
        raise RunError(f"no folder of results at {results}; expected the one that the project's repository has")
    if not said.subject:
        return []
    there = {verdict.id: verdict for verdict in read_verdicts(results / HOMES[said.subject])}
    return [there[name] for name in said.claims if name in there]
