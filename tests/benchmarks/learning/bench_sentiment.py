"""Sentiment learned of rated texts, on public texts of ten languages: right or not, beside VADER, and its speed.

Each set is learned from its own training part; where it has none, in five folds. Rows: accuracy of good against bad
(Korean film reviews rated 8 to 10 and 1 to 3, as many of each; Romanian reviews; Portuguese orders rated from 4 and up
to 2), macro-F1 of three classes (tweets in eight languages), correlation with the judgement of people (English), and
texts a minute of one core. `VOUCH_DATASETS` names the folder of the data. VADER is asked where `vaderSentiment` is
installed; else its published correlation stands in.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from measuring import Row
from needs import DATASETS

from vouch.features.sentiment.learned import TextModel, fit, macro_f1, signs_of

IS_LONG = True
NEEDS = (DATASETS,)
FOLDS, SEED = 5, 0
KOREAN, ROMANIAN, PORTUGUESE, TWEETS = 0.847, 0.873, 0.906, 0.55
VADER_OF_TWEETS = 0.872
"""Measured correlation of VADER 3.3 with people."""
A_MINUTE = 50_000


def data() -> Path:
    """The folder of the data sets."""
    return Path(os.environ["VOUCH_DATASETS"])


def learned(texts: pl.Series, rated: np.ndarray) -> TextModel:
    """A model of these texts; there are enough in every set."""
    model = fit(texts, pl.Series(rated))
    assert model is not None, "the model is no better than the lexicon"
    return model


def in_folds(texts: pl.Series, rated: np.ndarray) -> np.ndarray:
    """Polarity of each text by a model of the other folds."""
    fold, found = np.random.default_rng(SEED).permutation(len(texts)) % FOLDS, np.zeros(len(texts))
    for number in range(FOLDS):
        model = learned(texts.filter(pl.Series(fold != number)), rated[fold != number])
        found[fold == number] = model.polarity(texts.filter(pl.Series(fold == number))).fill_null(0).to_numpy()
    return found


def share_right(found: np.ndarray, rated: np.ndarray) -> float:
    """Share of texts on the right side of 0."""
    return float(((found > 0) == (rated > 0)).mean())


def two_classes() -> Iterator[Row]:
    """Good against bad, and the speed on short and on long texts."""
    korean = pl.read_parquet(data() / "nsmc_ko" / "nsmc_raw_sample_120k.parquet").drop_nulls("review")
    good, bad = korean.filter(pl.col("rating") >= 8), korean.filter(pl.col("rating") <= 3)
    few = min(len(good), len(bad))
    both = pl.concat([good.sample(few, seed=SEED), bad.sample(few, seed=SEED)])
    rated = np.where(both["rating"].to_numpy() >= 8, 100, -100)
    right = share_right(in_folds(both["review"], rated), rated)
    yield Row("sentiment: accuracy, Korean", "TF-IDF, logistic", right / KOREAN, at_least=1, note=f"{right:.3f}")
    reviews = pl.read_parquet(data() / "ro_sent" / "ro_sent.parquet")
    known, asked = (reviews.filter(pl.col("split") == split) for split in ("train", "test"))
    model = learned(known["text"], known["label"].to_numpy() * 200 - 100)
    start = time.process_time()
    found = model.polarity(asked["text"]).fill_null(0).to_numpy()
    speed = 60 * len(asked) / (time.process_time() - start)
    right = share_right(found, asked["label"].to_numpy() * 200 - 100)
    yield Row("sentiment: accuracy, Romanian", "TF-IDF, logistic", right / ROMANIAN, at_least=1, note=f"{right:.3f}")
    yield Row("sentiment: long texts a minute", "50,000", speed / A_MINUTE, at_least=1, note=f"{speed:,.0f}")
    orders = pl.read_csv(data() / "olist_sample" / "olist_order_reviews_dataset.csv")
    orders = orders.filter(pl.col("review_comment_message").is_not_null(), pl.col("review_score") != 3)
    rated = np.where(orders["review_score"].to_numpy() > 3, 100, -100)
    right = share_right(in_folds(orders["review_comment_message"], rated), rated)
    yield Row(
        "sentiment: accuracy, Portuguese", "TF-IDF, logistic", right / PORTUGUESE, at_least=1, note=f"{right:.3f}"
    )


def tweets() -> Iterator[Row]:
    """Three classes in eight languages, each by itself; English beside VADER."""
    rows = pl.read_csv(data() / "xlmt_multilingual_tweets" / "umsab.csv")
    scores: dict[str, float] = {}
    for language in rows["lang"].unique(maintain_order=True):
        parts = (rows.filter(pl.col("lang") == language, pl.col("split") == split) for split in ("train", "test"))
        known, asked = parts
        model = learned(known["text"], (known["label"].to_numpy() - 1) * 100)
        truth = asked["label"].to_numpy() - 1
        scores[language] = macro_f1(truth, signs_of(model.polarity(asked["text"]).fill_null(0).to_numpy()))
        if language == "english" and (vader := by_vader(asked["text"])) is not None:
            theirs = macro_f1(truth, (vader >= 0.05).astype(np.int64) - (vader <= -0.05))
            note = f"{scores[language]:.3f} against {theirs:.3f}"
            yield Row("sentiment: macro-F1, English", "VADER", scores[language] / theirs, at_least=1, note=note)
    mean, each = float(np.mean(list(scores.values()))), ", ".join(f"{name} {of:.3f}" for name, of in scores.items())
    yield Row("sentiment: macro-F1, eight languages", "0.55", mean / TWEETS, at_least=1, note=f"{mean:.3f}: {each}")


def by_vader(texts: pl.Series) -> np.ndarray | None:
    """What VADER says of texts, None where it is not installed."""
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError:
        return None
    judge: Any = SentimentIntensityAnalyzer()
    return np.array([judge.polarity_scores(text)["compound"] for text in texts])


def people() -> Iterator[Row]:
    """Correlation with the mean judgement of people."""
    path = data() / "vader_groundtruth" / "tweets_GroundTruth.txt"
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    texts, valence = pl.Series([line[2] for line in lines]), np.array([float(line[1]) for line in lines])
    found = float(np.corrcoef(in_folds(texts, valence * 25), valence)[0, 1])
    vader = by_vader(texts)
    theirs = VADER_OF_TWEETS if vader is None else float(np.corrcoef(vader, valence)[0, 1])
    note = f"{found:.3f} against {theirs:.3f}"
    yield Row("sentiment: correlation with people, tweets", "VADER", found / theirs, at_least=1, note=note)


def rows() -> Iterator[Row]:
    """What is right of good and bad, of three classes, and of degrees."""
    yield from two_classes()
    yield from tweets()
    yield from people()
