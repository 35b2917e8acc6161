"""The figures of a run whose task is one of sequences (the follow-up paper)."""

from abruptlab.paper.registry import FigureSpec, later

FIGURES: dict[str, FigureSpec] = {
    "losses": FigureSpec(
        "The losses over training",
        "follow-up paper",
        "Cross-entropy of the next token, on fresh sequences: faint the value of each step, strong the running mean; "
        "right the loss over the answer alone, on a logarithmic axis. Dashed: the level of an answer that does not "
        "read the prompt. Yellow: the drop, from onset to end.",
        later("experiments.losses", "measure_curves"),
        later("figures.curves", "draw_curves"),
        kind="sequence",
    ),
    "answer-progress": FigureSpec(
        "Hidden states before the drop",
        "follow-up paper",
        "Under the loss over the answer: representation collapse, the mean cosine similarity of a layer's hidden "
        "states at two places of the answer, and attention progress, the share of attention that goes to the places "
        "of the prompt that the answer needs. Otherwise as the figure progress.",
        later("experiments.progress", "measure_progress"),
        later("figures.progress", "draw_progress"),
        kind="sequence",
    ),
    "answer-attention": FigureSpec(
        "Attention of the heads over the sequence",
        "follow-up paper",
        "The map of every head, averaged over held-out sequences, in the middle of the plateau and after the drop; "
        "above each the share of its attention that goes to what the answer needs.",
        later("experiments.sequence_attention", "measure_sequence_attention"),
        later("figures.gpt", "draw_sequence_attention"),
        kind="sequence",
    ),
}
