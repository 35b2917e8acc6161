"""Token and positional embeddings (figures 7, 9 and 10): norms, principal components, and what explains their variance.

Shares of the variance are of all dimensions: a number sees what a component's correlation does not, its size.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from abruptlab.arguments import checked, require_count
from abruptlab.errors import RunError
from abruptlab.experiments.result import Outlined, stack
from abruptlab.model.encoder import Encoder
from abruptlab.run.run import Run, Steps
from abruptlab.system.tracking import track
from abruptlab.task.matrix import MatrixTask
from abruptlab.task.vocabulary import Vocabulary

SPAN = 1.5  # the paper's figures show the values from −1.5 to 1.5
SMOOTHED = 9  # neighbouring tokens over which norms are averaged: a rarely drawn one has the noise of its start
SHUFFLES = 100  # of the labels, for the share that chance gives
PERPLEXITY = 30.0  # t-SNE's usual one, as in the paper; of no more points than that, a third of the neighbours of each
LARGEST_SEED = 2**32 - 1  # of NumPy's generator, which scikit-learn takes
START = 1e-4  # size of a layout that t-SNE starts from, as in scikit-learn's own start


@dataclass(frozen=True)
class Axes:
    """The first two principal components of some embeddings."""

    centre: Float[np.ndarray, " width"]
    directions: Float[np.ndarray, "component=2 width"]


@dataclass(frozen=True)
class TokenGeometry(Outlined):
    """The embeddings of the value tokens."""

    norm: Float[np.ndarray, "*step value"]  # L2
    norm_symmetry: Float[np.ndarray, "*step"]  # correlation of the smoothed norms of x and −x; 1 if symmetric
    components: Float[np.ndarray, "*step value component=2"]  # along the axes
    explained: Float[np.ndarray, "*step component=2"]  # share of the variance
    magnitude: Float[np.ndarray, "*step component=2"]  # correlation of a component with |x|
    sign: Float[np.ndarray, "*step component=2"]  # and with sign(x)
    linear: Float[np.ndarray, "*step component=2"]  # and with x
    magnitude_share: Float[np.ndarray, "*step"]  # of the variance in all dimensions, explained by |x|
    sign_share: Float[np.ndarray, "*step"]  # by sign(x), beyond what is linear in x


@dataclass(frozen=True)
class Explained(Outlined):
    """The share of the variance of the positions, in all dimensions, that lies between the groups of a grouping: 1 if
    each group is one point. A code of equal parts for rows and columns, without noise, has 1/2 by either."""

    score: Float[np.ndarray, "*step"]
    shuffled: Float[np.ndarray, "*step"]  # the same with shuffled labels, mean
    spread: Float[np.ndarray, "*step"]  # and standard deviation over shuffles


@dataclass(frozen=True)
class PositionGeometry(Outlined):
    """The learned positional embeddings."""

    components: Float[np.ndarray, "*step pos component=2"]  # along the axes
    explained: Float[np.ndarray, "*step component=2"]  # share of the variance
    layout: Float[np.ndarray, "*step pos 2"]  # t-SNE
    by_column: Explained
    by_row: Explained


@dataclass(frozen=True)
class Embeddings(Outlined):
    """The geometry of the embeddings at a step or, with a first axis, at several."""

    step: Int[np.ndarray, "*step"]
    value: Float[np.ndarray, " value"]  # of the tokens, ascending, as many below 0 as above
    row: Int[np.ndarray, " pos"]  # of the positions
    column: Int[np.ndarray, " pos"]
    tokens: TokenGeometry
    positions: PositionGeometry


@checked
def measure_embeddings(run: Run, step: int | str = "final", seed: int = 0) -> Embeddings:
    """Figure 7: the embeddings of a checkpoint, on their own principal components.

    Of several sizes of matrix, positions are those of the largest. Raises `CheckpointError` for a step without a
    checkpoint, `RunError` if there are too few rows, columns, values or dimensions for a geometry.
    """
    resolved = run.resolve(step)
    value, row, column = _places(run)
    model, vocabulary = run.load_encoder(resolved), Vocabulary.of(run.config.matrices)
    tokens = token_geometry(model, vocabulary, value)
    return Embeddings(np.array(resolved), value, row, column, tokens, position_geometry(model, row, column, seed=seed))


@checked
def measure_embeddings_over_time(run: Run, steps: Steps | None = None, seed: int = 0) -> Embeddings:
    """Figures 9 and 10: the embeddings at several checkpoints (the milestones, unless told otherwise), on the final
    principal components.

    t-SNE has no axes to share: each checkpoint's starts from the final layout. Raises as `measure_embeddings` does.
    """
    value, row, column = _places(run)
    final, vocabulary = run.load_encoder("final"), Vocabulary.of(run.config.matrices)
    token_axes = principal_axes(embedded_tokens(final, vocabulary, value), value)
    position_axes = principal_axes(embedded_positions(final))
    layout = lay_out(embedded_positions(final), seed)
    resolved = run.resolve_all(run.milestones if steps is None else steps)
    tokens, positions = [], []
    for model in map(run.load_encoder, track(resolved, "checkpoints")):
        tokens.append(token_geometry(model, vocabulary, value, token_axes))
        positions.append(position_geometry(model, row, column, position_axes, layout, seed))
    return Embeddings(np.array(resolved), value, row, column, stack(tokens), stack(positions))


def _places(run: Run) -> tuple[Float[np.ndarray, " value"], Int[np.ndarray, " pos"], Int[np.ndarray, " pos"]]:
    """The values, and the row and the column of each position, that a run's embeddings stand for."""
    task = run.config.matrices
    rows, columns = max(task.sizes, key=math.prod)
    value = values_of(task)
    if min(rows, columns, len(value), run.config.model.width) < 2:
        raise RunError(
            f"{run.folder}: a geometry of embeddings takes 2 rows, columns, values and dimensions or more, got "
            f"{rows}, {columns}, {len(value)} and {run.config.model.width}"
        )
    row, column = np.divmod(np.arange(rows * columns), columns)
    return value, row, column


def values_of(task: MatrixTask) -> Float[np.ndarray, " value"]:
    """The values with a token within ±`SPAN` that matrices of the task can hold (the others are never trained).

    With uniform factors of rank r, no entry exceeds r.
    """
    vocabulary = Vocabulary.of(task)
    unit = vocabulary.steps_per_unit
    largest = min(int(SPAN * unit), vocabulary.size // 2 - 1)
    if task.factors == "uniform":
        largest = min(largest, task.rank * unit)
    return np.arange(-largest, largest + 1) / unit


def embedded_tokens(
    model: Encoder, vocabulary: Vocabulary, value: Float[np.ndarray, " value"]
) -> Float[np.ndarray, "value width"]:
    """The embeddings of the tokens of these values."""
    ids = vocabulary.encode(torch.from_numpy(value))
    return model.token_embedding.weight.detach().cpu()[ids].double().numpy()


def embedded_positions(model: Encoder) -> Float[np.ndarray, "pos width"]:
    """The learned embeddings of the positions."""
    return model.position_embedding.weight.detach().cpu().double().numpy()


def token_geometry(
    model: Encoder, vocabulary: Vocabulary, value: Float[np.ndarray, " value"], axes: Axes | None = None
) -> TokenGeometry:
    """Norms and components of the tokens of `value` (symmetric about 0), along `axes` or their own."""
    embedded = embedded_tokens(model, vocabulary, value)
    components, explained = _project(embedded, axes or principal_axes(embedded, value))
    norm = np.linalg.norm(embedded, axis=-1)
    return TokenGeometry(
        norm=norm,
        norm_symmetry=np.array(smoothed_symmetry(value, norm)),
        components=components,
        explained=explained,
        magnitude=np.array([_correlation(scores, np.abs(value)) for scores in components.T]),
        sign=np.array([_correlation(scores, np.sign(value)) for scores in components.T]),
        linear=np.array([_correlation(scores, value) for scores in components.T]),
        magnitude_share=np.array(share_explained(embedded, np.abs(value)[:, None])),
        sign_share=np.array(
            share_explained(embedded, np.stack([value, np.sign(value)], 1)) - share_explained(embedded, value[:, None])
        ),
    )


def position_geometry(
    model: Encoder,
    row: Int[np.ndarray, " pos"],
    column: Int[np.ndarray, " pos"],
    axes: Axes | None = None,
    start: Float[np.ndarray, "pos 2"] | None = None,
    seed: int = 0,
) -> PositionGeometry:
    """Components of the positions along `axes` or their own, their t-SNE from the layout `start`, and how much of their
    variance columns and rows explain."""
    embedded = embedded_positions(model)
    components, explained = _project(embedded, axes or principal_axes(embedded))
    return PositionGeometry(
        components=components,
        explained=explained,
        layout=lay_out(embedded, seed, start),
        by_column=explained_by(embedded, column, seed),
        by_row=explained_by(embedded, row, seed),
    )


def principal_axes(points: Float[np.ndarray, "point width"], value: Float[np.ndarray, " point"] | None = None) -> Axes:
    """The first two principal components; those of tokens turned so that each rises with |x| or sign(x), whichever it
    follows more closely."""
    pca = PCA(2, svd_solver="covariance_eigh").fit(points)
    axes = Axes(pca.mean_, np.asarray(pca.components_))
    if value is None:
        return axes
    turned = []
    for direction, scores in zip(axes.directions, _project(points, axes)[0].T, strict=True):
        closest = max((_correlation(scores, of) for of in (np.abs(value), np.sign(value))), key=abs)
        turned.append(-direction if closest < 0 else direction)
    return Axes(axes.centre, np.stack(turned))


def _project(
    points: Float[np.ndarray, "point width"], axes: Axes
) -> tuple[Float[np.ndarray, "point component=2"], Float[np.ndarray, "component=2"]]:
    """The points along the axes, and the share of their variance there."""
    components = (points - axes.centre) @ axes.directions.T
    return components, components.var(0) / points.var(0).sum()


def lay_out(
    points: Float[np.ndarray, "point width"], seed: int = 0, start: Float[np.ndarray, "point 2"] | None = None
) -> Float[np.ndarray, "point 2"]:
    """Their t-SNE, from the layout `start` or from their first two principal components."""
    require_count(seed, "seed", 0, LARGEST_SEED)
    init = "pca" if start is None else (START * start / start[:, 0].std()).astype(np.float32)
    perplexity = PERPLEXITY if len(points) > PERPLEXITY else (len(points) - 1) / 3
    # exact: few points, and no threads whose order could change the sums
    return TSNE(perplexity=perplexity, init=init, method="exact", random_state=seed).fit_transform(points)


def explained_by(
    points: Float[np.ndarray, "point width"], labels: Int[np.ndarray, " point"], seed: int = 0
) -> Explained:
    """The share of the points' variance that lies between the groups, and what shuffled labels give."""
    random = np.random.default_rng(seed)
    chance = [_between(points, random.permutation(labels)) for _ in range(SHUFFLES)]
    return Explained(np.array(_between(points, labels)), np.array(np.mean(chance)), np.array(np.std(chance)))


def _between(points: Float[np.ndarray, "point width"], labels: Int[np.ndarray, " point"]) -> float:
    members = np.equal.outer(np.unique(labels), labels) * 1.0  # [group, point]
    return share_explained(points, members.T)


def share_explained(points: Float[np.ndarray, "point width"], by: Float[np.ndarray, "point property"]) -> float:
    """The share of the variance of points, in all dimensions, that is linear in some properties of theirs (R²)."""
    centred = points - points.mean(0)
    basis, sizes, _ = np.linalg.svd(by - by.mean(0), full_matrices=False)
    basis = basis[:, sizes > 1e-9 * max(sizes.max(), 1e-300)]
    total = np.square(centred).sum()
    return float(np.square(basis.T @ centred).sum() / total) if total else 0.0


def smoothed_symmetry(value: Float[np.ndarray, " value"], norm: Float[np.ndarray, " value"]) -> float:
    """The correlation of the norms of x and −x over x > 0, each norm a mean over `SMOOTHED` neighbours of one sign."""
    window = min(SMOOTHED, int((value > 0).sum()))
    up, down = (
        np.convolve(side, np.full(window, 1 / window), "valid") for side in (norm[value > 0], norm[value < 0][::-1])
    )
    return _correlation(up, down)


def magnitude_and_sign(tokens: TokenGeometry) -> Float[np.ndarray, "*step 2"]:
    """How closely one component follows |x| and the other sign(x): the two |correlations|, with the components assigned
    so that the weaker one is as strong as it can be."""
    magnitude, sign = np.abs(tokens.magnitude), np.abs(tokens.sign)
    assignments = np.stack([magnitude, sign[..., ::-1]], -1)  # [*step, component of the magnitude, property]
    better = assignments.min(-1).argmax(-1)
    return np.take_along_axis(assignments, better[..., None, None], -2)[..., 0, :]


def _correlation(first: Float[np.ndarray, " value"], second: Float[np.ndarray, " value"]) -> float:
    """Pearson's; 0 where something does not vary: then it follows nothing."""
    first, second = first - first.mean(), second - second.mean()
    size = np.linalg.norm(first) * np.linalg.norm(second)
    return float(first @ second / size) if size else 0.0
