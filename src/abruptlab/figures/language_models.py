"""What models of language do over their training (the measures of the follow-up paper)."""

import numpy as np
from matplotlib.figure import Figure

from abruptlab.experiments.language_models import LanguageModels
from abruptlab.figures.style import MASKED, OBSERVED, drawing, new_figure


@drawing
def draw_language_models(models: LanguageModels) -> Figure:
    """Repetition bias and the last layer's collapse over the checkpoints."""
    figure = new_figure(2.1)
    axes = figure.subplots()
    places = np.arange(len(models.checkpoint))
    axes.plot(places, models.collapse[:, -1], "o-", color=OBSERVED, markersize=3, label="collapse: cosine similarity")
    axes.plot(places, models.repetition, "o-", color=MASKED, markersize=3, label="repetition: equal neighbours")
    axes.set(ylim=(min(0, axes.get_ylim()[0]), 1.03), xlabel="checkpoint", ylabel="cosine; share")
    axes.set_xticks(places, [name.rpartition("@")[2].rpartition("/")[2] for name in models.checkpoint], rotation=30)
    axes.legend(loc="best")
    return figure
