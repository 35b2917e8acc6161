"""How far a training is, in a notebook: a bar, the numbers, and the curve so far, renewed in their place."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from abruptlab.run.curve import curve

if TYPE_CHECKING:
    from abruptlab.training.loop import Progress


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None) is not None


def silent_or_notebook() -> "Callable[[Progress], None]":
    """What a training reports to where nobody says otherwise."""
    return NotebookProgress() if in_notebook() else lambda progress: None


class NotebookProgress:
    """What `train` reports to where it runs in a notebook."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        output = display(HTML("the training begins …"), display_id=True)
        assert output is not None  # as a display_id is asked for
        self._output = output
        self._steps: list[int] = []
        self._losses: dict[str, list[float]] = {}

    def __call__(self, progress: "Progress") -> None:
        """Take in the newest losses and show everything."""
        self._steps.append(progress.step)
        for name, value in progress.losses.items():
            self._losses.setdefault(name, []).append(value)
        self._output.update(self._html(self._picture(progress)))

    def _picture(self, progress: "Progress") -> str:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        numbers = "  ".join(f"{name} {value:.3g}" for name, value in progress.losses.items())
        return (
            f'<progress value="{progress.step}" max="{progress.steps}" style="width: 20em"></progress> '
            f"step {progress.step:,} of {progress.steps:,}, {minutes}:{seconds:02} left, "
            f"{progress.ms_per_step:.3g} ms a step  {numbers}<br>"
            f"{curve(self._steps, self._losses, progress.steps)}"
        )
