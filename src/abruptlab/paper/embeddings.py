"""Token and positional embeddings (figures 7, 9 and 10)."""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float

from abruptlab.errors import CheckpointError
from abruptlab.experiments.embeddings import (
    SMOOTHED,
    Embeddings,
    Explained,
    embedded_positions,
    explained_by,
    measure_embeddings,
    measure_embeddings_over_time,
)
from abruptlab.figures.embeddings import draw_embeddings, draw_positions_over_time, draw_tokens_over_time
from abruptlab.paper.claim import INSIDE, UNTRAINED, Bound, Claim, Number, inside, null
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Figures, FigureSpec

FIGURES: Figures = {
    "7": FigureSpec(
        "Token and positional embeddings",
        "figure 7",
        "(a) L2 norm of the embeddings of the value tokens, and their symmetry: the correlation of the norms of x and "
        "−x, each a mean over nine neighbouring tokens. (b) The tokens on their first two principal components, with "
        "the share of the variance that each explains and its correlations with |x| and sign(x). (c, d) t-SNE and "
        "principal components of the positional embeddings, coloured by column and by row, with the share of their "
        "variance, in all dimensions, that lies between the columns or the rows and, for comparison, that of shuffled "
        "labels (mean ± standard deviation). Values are "
        "those within ±1.5 that have a token and that the task can produce: with uniform factors of rank r, none "
        "exceeds r, and the tokens beyond it are never trained.",
        measure_embeddings,
        draw_embeddings,
    ),
    "9": FigureSpec(
        "Token embeddings over the training",
        "figure 9",
        "The value tokens at several checkpoints, on the first two principal components of the final ones. Below: the "
        "|correlation| of one component with |x| and of the other with sign(x), the shares of the variance at "
        "that step, in all dimensions, that |x| and sign(x) beyond x explain, and the symmetry of the norms.",
        measure_embeddings_over_time,
        draw_tokens_over_time,
    ),
    "10": FigureSpec(
        "Positional embeddings over the training",
        "figure 10",
        "t-SNE of the positional embeddings at several checkpoints, coloured by column and by row. t-SNE has no axes "
        "to share, so each starts from the final layout. Below: the share of their variance, in all "
        "dimensions, that lies between the columns or the rows.",
        measure_embeddings_over_time,
        draw_positions_over_time,
    ),
}

SYMMETRIC = 0.8  # then nine tenths of the variance of the norms lie in their even part
FOLLOWS = 0.8  # then two thirds of the variance of a component are explained
LINEAR = 3 / 4 - 1  # of an axis linear in x, whose correlation with sign(x) is √3/2 over evenly spaced values
CLEARLY = 3.0  # spreads of shuffled labels above their mean
MOST = 0.5  # of what there is at the end of the drop


def _sign_over_value(findings: Findings) -> Number:
    """How much more of the component that is not the magnitude sign(x) explains than x does: a quarter for the sign
    itself, minus a quarter for the value. None if no component is the magnitude."""
    tokens = findings.of(measure_embeddings).tokens
    magnitude = np.abs(tokens.magnitude).argmax()
    if abs(tokens.magnitude[magnitude]) < FOLLOWS:
        return None
    return float(tokens.sign[1 - magnitude] ** 2 - tokens.linear[1 - magnitude] ** 2)


def _at(over_time: Embeddings, values: Float[np.ndarray, " step"], step: int) -> float:
    if step not in over_time.step:
        raise CheckpointError(f"the embeddings have not been measured at step {step}")
    return float(values[over_time.step == step][0])


SHARES: dict[str, Callable[[Embeddings], Float[np.ndarray, " step"]]] = {
    "magnitude": lambda over_time: over_time.tokens.magnitude_share,
    "sign": lambda over_time: over_time.tokens.sign_share,
    # between columns, above that of shuffled labels
    "positions": lambda over_time: over_time.positions.by_column.score - over_time.positions.by_column.shuffled,
}


def _with_drop(findings: Findings, name: str) -> Number:
    """Of a share at the end of the drop, above that of untrained models, the part that it gains from the onset on; none
    where there is no more of it than untrained models differ by."""
    strangers = SHARES[name](findings.on("untrained").of(measure_embeddings_over_time))
    onset, after = (_at_moment(findings, name, moment) - strangers.mean() for moment in ("onset", "after-drop"))
    return (after - onset) / after if after > np.ptp(strangers) else None


def _at_moment(findings: Findings, name: str, moment: str) -> float:
    over_time = findings.of(measure_embeddings_over_time)
    return _at(over_time, SHARES[name](over_time), findings.run.resolve(moment))


def _steady(findings: Findings) -> Number:
    """The same of what grows by as much at every step."""
    onset, after = (findings.run.resolve(moment) for moment in ("onset", "after-drop"))
    return (after - onset) / after


def _spreads(columns: Explained) -> float:
    return float((columns.score - columns.shuffled) / columns.spread)


def _shuffled_columns(findings: Findings) -> Number:
    """The same of labels shuffled once more."""
    model = findings.run.load_encoder("final")
    labels = np.random.default_rng(SHUFFLED).permutation(findings.of(measure_embeddings).column)
    return _spreads(explained_by(embedded_positions(model), labels))


def _layout_by_column(findings: Findings) -> Number:
    """The same of the positions' t-SNE, which is what the figure shows."""
    embeddings = findings.of(measure_embeddings)
    return _spreads(explained_by(embeddings.positions.layout, embeddings.column))


def _symmetry(findings: Findings) -> float:
    over_time = findings.of(measure_embeddings_over_time)
    steps = [findings.run.resolve(step) for step in ("before-drop", "final")]
    return min(_at(over_time, over_time.tokens.norm_symmetry, step) for step in steps)


SHUFFLED = 1  # seed of the shuffle that stands for a grouping without meaning

CLAIMS: dict[str, Claim] = {
    "norm-symmetry": Claim(
        "The norm of token embeddings is symmetric about zero, from the plateau on.",
        "caption",
        f"correlation of the norms of x and −x, each a mean over {SMOOTHED} neighbouring tokens; the smaller of "
        "mid-plateau's and the end's",
        Bound(low=SYMMETRIC),
        _symmetry,
        (UNTRAINED,),
        figures=("7",),
        final=True,
    ),
    "magnitude-and-sign": Claim(
        "The top two components of token embeddings are magnitude and sign.",
        "caption",
        f"share of the variance of one component explained by sign(x) − by x; judged where the other one's "
        f"|correlation| with |x| is {FOLLOWS:g} or more",
        Bound(low=0.0),
        _sign_over_value,
        (UNTRAINED, null("an axis linear in x", lambda findings: LINEAR)),  # tokens take shape before the drop, too
        figures=("7",),
        final=True,
    ),
    "columns-cluster": inside(
        "Positions of one column are near each other.",
        "caption",
        "share of the variance of positional embeddings between columns − that of shuffled labels, in spreads of the "
        "latter",
        Bound(low=CLEARLY),
        lambda findings: _spreads(findings.of(measure_embeddings).positions.by_column),
        null("shuffled labels", _shuffled_columns),
        figures=("7",),
    ),
    "columns-cluster-in-the-plane": inside(
        "Positions of one column cluster in their t-SNE.",
        "caption",
        "share of the variance of their t-SNE between columns − that of shuffled labels, in spreads of the latter",
        Bound(low=CLEARLY),
        _layout_by_column,
        figures=("7",),
    ),
    **{
        f"{name}-with-drop": Claim(
            text,
            "caption",
            f"{share}, above that of untrained models: of what there is at the end of the drop, the part that is "
            "gained from the onset on; judged where there is more than untrained models differ by",
            Bound(low=MOST),
            partial(_with_drop, name=name),
            (*INSIDE, null("steady growth", _steady)),
            figures=(figure,),
        )
        for name, figure, text, share in (
            (
                "magnitude",
                "9",
                "The part of token embeddings that tells magnitude appears with the drop.",
                "share of their variance explained by |x|",
            ),
            (
                "sign",
                "9",
                "The part of token embeddings that tells the sign, beyond the value, appears with the drop.",
                "share of their variance explained by sign(x) beyond what is linear in x",
            ),
            (
                "positions",
                "10",
                "The clusters of positions appear with the drop.",
                "share of their variance between columns above that of shuffled labels",
            ),
        )
    },
}
