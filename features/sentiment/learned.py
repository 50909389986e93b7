"""Sentiment learned from a company's own rated texts: linear models over word and character n-grams, in any language.

No word list nor weights to download: what well and badly rated texts hold decides, and n-grams of letters need no
knowledge of a language's words or endings. The recipe is fixed (`RECIPE_VERSION`): texts as hashed n-grams, weighed by
how rare they are, with the lexicon's judgement as three further inputs; logistic regressions tell whether a text is
positive, neutral or negative, and a regression of squared loss how much so. Both are calibrated on texts that they were
not fitted on. A model serves only where it is nearer to the ratings than the lexicon is, on such texts. Weights are
numbers in an `.npz` without pickle; words do not stand in it.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize_scalar
from threadpoolctl import threadpool_limits

from vouch.features.sentiment.polarity import LEXICON_VERSION, NEGATIVE_FROM, POSITIVE_FROM, by_parts, polarity

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import HashingVectorizer

Floats = NDArray[np.floating]
Signs = NDArray[np.int64]

RECIPE_VERSION = "2"
SENTIMENT_VERSION = f"lexicon {LEXICON_VERSION}, recipe {RECIPE_VERSION}"
"""What the polarity of a text rests on, for fingerprints."""
BUCKETS = 2**18
"""Of each kind of n-grams."""
LEAST_TEXTS = 200
"""Distinct rated texts without which nothing is learned."""
LEAST_OF_EACH = 25
"""So many of them must be rated well, and as many badly."""
MOST_TEXTS = 50_000
"""The newest so many are learned from."""
FOLDS = 3
STRENGTH = 2.0
"""Inverse of the penalty on weights."""
CLASSES = (-1, 0, 1)


@dataclass(frozen=True)
class TextModel:
    """Weights and calibration of one fit, and how it did on texts that it was not fitted on.

    `rarity`: inverse document frequency of each bucket. `weights` (inputs, 4) and `offsets` (4,): of negative, neutral,
    positive, and of the polarity. `sharpness` scales the first three to probabilities, `slope` the last.
    `macro_f1` of three classes, `lexicon_macro_f1` of the lexicon on the same texts, `correlation` with the ratings,
    `log_loss` of the probabilities, `texts` distinct ones learned of.
    """

    rarity: Floats
    weights: Floats
    offsets: Floats
    sharpness: float = 1.0
    slope: float = 1.0
    texts: int = 0
    macro_f1: float = 0.0
    lexicon_macro_f1: float = 0.0
    correlation: float = 0.0
    log_loss: float = 0.0

    def polarity(self, texts: pl.Series) -> pl.Series:
        """Return the polarity of each text in hundredths from -100 to 100 (Int16), null for a null or blank text."""
        return by_parts(texts, self._polarity)

    def _polarity(self, texts: pl.Series) -> pl.Series:
        scores = self.scores(_inputs(texts))
        return pl.Series(within_class(np.argmax(scores[:, :3], axis=1) - 1, self.slope * scores[:, 3]), dtype=pl.Int16)

    def probabilities(self, texts: pl.Series) -> Floats:
        """Return (texts, 3): how likely each is negative, neutral, positive; texts without nulls."""
        return _shares(self.sharpness * self.scores(_inputs(texts))[:, :3])

    def scores(self, inputs: sparse.csr_matrix) -> Floats:
        """Raw scores (texts, 4) of counted texts."""
        return np.asarray(_weighed(inputs, self.rarity) @ self.weights + self.offsets)

    @property
    def figures(self) -> dict[str, float | int]:
        """How it did, for a record."""
        return {name: getattr(self, name) for name in _names() if name not in ARRAYS}

    def to_bytes(self) -> bytes:
        """The model as an `.npz` of numbers."""
        content = io.BytesIO()
        np.savez_compressed(content, **{name: getattr(self, name) for name in _names()})
        return content.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> TextModel:
        """Read what `to_bytes` wrote; raises ValueError where it is something else."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                arrays: dict[str, Any] = {name: stored[name] for name in _names()}
        except (OSError, KeyError, zipfile.BadZipFile, EOFError) as error:
            raise ValueError("these are no weights of a model of texts") from error
        values: dict[str, Any] = {name: of if name in ARRAYS else float(of) for name, of in arrays.items()}
        return cls(**{**values, "texts": int(values["texts"])})


ARRAYS = ("rarity", "weights", "offsets")


def _names() -> list[str]:
    return [of.name for of in fields(TextModel)]


def fit(texts: pl.Series, rated: pl.Series) -> TextModel | None:
    """Learn from texts, the newest last, and their rated polarity in hundredths.

    A text that was rated several times counts once, with the mean. Returns None where the texts are too few or too much
    alike in their rating, or where the model is no nearer to the ratings than the lexicon.
    """
    frame = pl.DataFrame({"text": texts, "rated": rated.cast(pl.Float64)}).drop_nulls()
    frame = frame.filter(pl.col("text").str.contains(r"\S")).group_by("text", maintain_order=True).agg(
        pl.col("rated").mean()
    ).tail(MOST_TEXTS)  # fmt: skip
    truth = frame["rated"].to_numpy() / 100
    signs = signs_of(truth * 100)
    if len(frame) < LEAST_TEXTS or min((signs == 1).sum(), (signs == -1).sum()) < LEAST_OF_EACH:
        return None
    with threadpool_limits(1):  # one order of sums, on every machine
        return _fitted(frame["text"], truth, signs)


def _fitted(texts: pl.Series, truth: Floats, signs: Signs) -> TextModel | None:
    inputs = _inputs(texts)
    apart = np.array([zlib.crc32(text.encode()) % FOLDS for text in texts])  # whatever the order
    scores = np.empty((len(texts), 4))
    for fold in range(FOLDS):
        is_out = apart == fold
        scores[is_out] = _regressed(inputs[~is_out], truth[~is_out], signs[~is_out]).scores(inputs[is_out])
    sharpness = float(minimize_scalar(lambda by: _loss(by * scores[:, :3], signs), bounds=(0.1, 10.0)).x)
    graded = scores[:, 3]
    slope = max(float(graded @ truth) / max(float(graded @ graded), 1e-12), 0.0)
    judged = within_class(np.argmax(scores[:, :3], axis=1) - 1, slope * graded)
    by_words = macro_f1(signs, signs_of(polarity(texts).to_numpy()))
    reached = macro_f1(signs, signs_of(judged))
    if reached <= by_words:
        return None
    return replace(
        _regressed(inputs, truth, signs),
        sharpness=sharpness,
        slope=slope,
        texts=len(texts),
        macro_f1=reached,
        lexicon_macro_f1=by_words,
        correlation=float(np.corrcoef(judged, truth)[0, 1]) if judged.any() else 0.0,
        log_loss=_loss(sharpness * scores[:, :3], signs),
    )


def _regressed(inputs: sparse.csr_matrix, truth: Floats, signs: Signs) -> TextModel:
    """Weights by coordinate descent from a fixed start, rounded as they are stored; a class that nobody gave is out."""
    from sklearn.linear_model import LogisticRegression  # slow to load, and needed with rated texts alone
    from sklearn.svm import LinearSVR

    documents = np.bincount(inputs[:, : 2 * BUCKETS].indices, minlength=2 * BUCKETS)
    rarity = np.where(documents > 0, np.log((1 + len(truth)) / (1 + documents)) + 1, 0.0)
    rarity = _as_stored(rarity)
    weighed = _weighed(inputs, rarity)
    weights, offsets = np.zeros((inputs.shape[1], 4)), np.array([-50.0, -50.0, -50.0, 0.0])
    common = {"C": STRENGTH, "dual": True, "tol": 0.01, "max_iter": 1000, "random_state": 0}
    for place, sign in enumerate(CLASSES):
        if (signs == sign).any():
            model = LogisticRegression(solver="liblinear", **common).fit(weighed, signs == sign)
            weights[:, place], offsets[place] = model.coef_[0], model.intercept_[0]
    graded = LinearSVR(loss="squared_epsilon_insensitive", **common).fit(weighed, truth)
    weights[:, 3], offsets[3] = graded.coef_, graded.intercept_[0]
    return TextModel(rarity, _as_stored(weights), _as_stored(offsets))


def _as_stored(values: Floats) -> Floats:
    return values.astype(np.float32)


def within_class(signs: Signs, polarities: Floats) -> Signs:
    """Return hundredths: polarities in -1 to 1, each on the side of the limits where its class is.

    >>> within_class(np.array([1, 0, -1]), np.array([0.05, 0.4, -1.3])).tolist()
    [20, 19, -100]
    """
    lowest = np.select([signs == 1, signs == 0], [POSITIVE_FROM, NEGATIVE_FROM + 1], -100)
    highest = np.select([signs == 1, signs == 0], [100, POSITIVE_FROM - 1], NEGATIVE_FROM)
    return np.asarray(np.clip(np.rint(100 * polarities), lowest, highest).astype(np.int64))


def _shares(scores: Floats) -> Floats:
    """Probabilities of classes, from a score of each against all others."""
    each = 1 / (1 + np.exp(-np.clip(scores, -50, 50)))
    return np.asarray(each / each.sum(axis=1, keepdims=True))


def _loss(scores: Floats, signs: Signs) -> float:
    of_truth = _shares(scores)[np.arange(len(signs)), signs + 1]
    return float(-np.log(np.maximum(of_truth, 1e-9)).mean())


def signs_of(hundredths: NDArray[Any]) -> Signs:
    """Return 1 for positive, -1 for negative, 0 for what is neither."""
    is_good, is_bad = hundredths >= POSITIVE_FROM, hundredths <= NEGATIVE_FROM
    return np.asarray(is_good.astype(np.int64) - is_bad)


def macro_f1(truth: Signs, predicted: Signs) -> float:
    """Mean F1 of the classes that occur in the truth."""
    scores = []
    for sign in np.unique(truth):
        both = ((truth == sign) & (predicted == sign)).sum()
        scores.append(2 * both / ((truth == sign).sum() + (predicted == sign).sum()))
    return float(np.mean(scores))


# --- texts as counted n-grams ----------------------------------------------------------------------------------------


def _inputs(texts: pl.Series) -> sparse.csr_matrix:
    """The n-grams of words (1 to 2) and of letters within words (1 to 4) of texts, and the lexicon's judgement."""
    listed = texts.to_list()
    by_words = polarity(texts).fill_null(0).to_numpy() / 100
    judged = np.column_stack([np.maximum(by_words, 0), np.maximum(-by_words, 0), by_words != 0])
    parts = [hashed.transform(listed) for hashed in _hashing()]
    return sparse.csr_matrix(sparse.hstack([*parts, sparse.csr_matrix(judged.astype(np.float32))]))


@cache
def _hashing() -> tuple[HashingVectorizer, HashingVectorizer]:
    from sklearn.feature_extraction.text import HashingVectorizer  # slow to load, and needed with rated texts alone

    both = {"n_features": BUCKETS, "alternate_sign": False, "norm": None, "binary": True, "dtype": np.float32}
    words = HashingVectorizer(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2), **both)
    return words, HashingVectorizer(analyzer="char_wb", ngram_range=(1, 4), **both)


def _weighed(inputs: sparse.csr_matrix, rarity: Floats) -> sparse.csr_matrix:
    """N-grams by their rarity, each kind at length 1 in each text; the lexicon's judgement as it is."""
    parts = []
    for kind in range(2):
        columns = slice(kind * BUCKETS, (kind + 1) * BUCKETS)
        part = inputs[:, columns].copy()
        part.data *= rarity[columns][part.indices]
        length = np.sqrt(np.asarray(part.multiply(part).sum(axis=1)).ravel())
        part.data /= np.repeat(np.where(length > 0, length, 1.0), np.diff(part.indptr))
        parts.append(part)
    return sparse.csr_matrix(sparse.hstack([*parts, inputs[:, 2 * BUCKETS :]]))
