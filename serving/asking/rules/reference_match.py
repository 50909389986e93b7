"""Reference matching: which advocates fit a prospect's deal, are willing and rested, in which order. Pure: arrays in,
arrays out.

The worth of an advocate for a request is fit times acceptance times rest. *Fit* is the weighted share of what the
request names that the advocate meets. *Acceptance* is the share of asks that were accepted: one's own, shrunk to that
of advocates of the same tier, and theirs to that of all. *Rest* halves with each ask of the last 90 days. Advocates who
are worth about the same take turns: who was asked least in a year comes first, then who was asked longest ago,
then who is worth most, and else a draw that follows from the request, so that no alphabet favours anybody.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.contract.tables import DAY_US

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Places = np.ndarray[Any, np.dtype[np.int64]]
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Codes = np.ndarray[Any, np.dtype[np.int32]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
WEIGHTS = {"industry": 3.0, "use_case": 3.0, "persona": 2.0, "company_size": 1.5, "region": 1.0}
"""What each thing that a request names counts for. A language is no matter of degree: who speaks it not, is out."""
TENFOLD = np.log(10.0)
"""A firm ten times as large or as small fits no better than one whose size is unknown."""
REST_DAYS, YEAR_DAYS = 90, 365
HALVED = 0.5
"""What is left of somebody's willingness by each ask of the last 90 days."""
PRIOR_ASKS = 8.0
"""As many asks of one's own count as much as what is known of the tier; of a tier as much as what is known of all."""
ABOUT_THE_SAME = 0.8
"""Who is worth at least so much of what another is worth takes turns with them."""


@dataclass(frozen=True)
class Prospect:
    """What a request says of the prospect; None for what it leaves open."""

    industry: str | None = None
    company_size: int | None = None
    region: str | None = None
    language: str | None = None
    use_case: str | None = None
    persona: str | None = None


@dataclass(frozen=True)
class Pool:
    """Customers as columns, one entry per customer: codes into `words` (-1 for unknown), and employees (NaN)."""

    codes: Mapping[str, Codes]
    words: Mapping[str, tuple[str, ...]]
    company_size: Numbers
    tier: Codes
    """Any grouping of customers by how much they advocate, from 0."""

    def __len__(self) -> int:
        """Number of customers."""
        return len(self.tier)

    @cached_property
    def log_size(self) -> Numbers:
        """The logarithm of the number of employees."""
        return np.log(np.maximum(self.company_size, 1.0))

    def has(self, name: str) -> bool:
        """Whether anything is known of a column."""
        return bool(np.isfinite(self.company_size).any()) if name == "company_size" else bool(self.words.get(name))


@dataclass(frozen=True)
class AskHistory:
    """All asks that were made of the pool, one entry per ask."""

    row: Places
    asked_us: Places
    is_accepted: Flags
    is_answered: Flags
    """Whether it is known what came of it; one that was ignored counts as answered with no."""


@dataclass(frozen=True)
class Load:
    """What was asked of each customer of a pool up to a moment, and what came of it."""

    asks_90d: Codes
    asks_year: Codes
    last_us: Places
    """When each was asked last; -1 for never."""
    acceptance: Numbers

    @cached_property
    def rest(self) -> Numbers:
        """What the asks of the last 90 days leave of each one's willingness."""
        return HALVED ** self.asks_90d.astype(np.float64)


@dataclass(frozen=True)
class Matches:
    """The advocates for a request in their order: rows of the pool and what each is worth, by its parts."""

    rows: Places
    fit: Numbers
    acceptance: Numbers
    rest: Numbers
    unused: tuple[str, ...]
    """What the request names and the company's tables know nothing of."""
    eligible: int
    """How many fit, are willing and rested."""

    @property
    def value(self) -> Numbers:
        """Fit times acceptance times rest."""
        worth: Numbers = self.fit * self.acceptance * self.rest
        return worth


def load_of(pool: Pool, history: AskHistory, now_us: int) -> Load:
    """Return what each customer was asked, and how likely each is to accept."""
    size = len(pool)
    asked = history.asked_us <= now_us
    row, asked_us = history.row[asked], history.asked_us[asked]
    last = np.full(size, -1, dtype=np.int64)
    np.maximum.at(last, row, asked_us)
    counts = [
        np.bincount(row[asked_us > now_us - days * DAY_US], minlength=size).astype(np.int32)
        for days in (REST_DAYS, YEAR_DAYS)
    ]
    answered = asked & history.is_answered
    accepted = np.bincount(history.row[answered & history.is_accepted], minlength=size).astype(np.float64)
    answers = np.bincount(history.row[answered], minlength=size).astype(np.float64)
    return Load(counts[0], counts[1], last, _acceptance(pool.tier, accepted, answers))


def _acceptance(tier: Codes, accepted: Numbers, answers: Numbers) -> Numbers:
    """The chance that each accepts: one's own answers shrunk to those of the tier, these to those of all."""
    overall = (accepted.sum() + 1.0) / (answers.sum() + 2.0)
    by_tier = [np.bincount(tier, weights=counts) for counts in (accepted, answers)]
    of_tier = (by_tier[0] + PRIOR_ASKS * overall) / (by_tier[1] + PRIOR_ASKS)
    shrunk: Numbers = (accepted + PRIOR_ASKS * of_tier[tier]) / (answers + PRIOR_ASKS)
    return shrunk


def fit_of(pool: Pool, prospect: Prospect, rows: Places) -> tuple[Numbers, tuple[str, ...]]:
    """Return how well each of the rows fits, 0 to 1, and what the tables know nothing of.

    A request that names nothing is fitted by everybody.
    """
    named = [name for name in WEIGHTS if getattr(prospect, name) is not None]
    known = [name for name in named if pool.has(name)]
    unused = [name for name in named if name not in known]
    fit = np.zeros(len(rows)) if known else np.ones(len(rows))
    for name in known:
        share = WEIGHTS[name] / sum(WEIGHTS[other] for other in known)
        wanted = getattr(prospect, name)
        fit += share * (_near(pool, wanted, rows) if name == "company_size" else _same(pool, name, wanted, rows))
    if prospect.language is not None:
        if pool.has("language"):
            fit *= _speaks(pool, prospect.language, rows)
        else:
            unused.append("language")
    return fit, tuple(unused)


def _same(pool: Pool, name: str, wanted: str, rows: Places) -> Flags:
    """Whether each has the value that is wanted, in whatever case it is written; an unknown one is none."""
    table = np.asarray([*(word.casefold() == wanted.casefold() for word in pool.words[name]), False])
    is_same: Flags = table[pool.codes[name][rows]]  # the last one is for unknown, whose code is -1
    return is_same


def _near(pool: Pool, wanted: int, rows: Places) -> Numbers:
    """How near each firm is in size, by how many times it is larger or smaller; one of unknown size is not near."""
    apart = np.abs(pool.log_size[rows] - np.log(max(wanted, 1)))
    near: Numbers = np.nan_to_num(np.maximum(1.0 - apart / TENFOLD, 0.0), nan=0.0)
    return near


def _speaks(pool: Pool, wanted: str, rows: Places) -> Flags:
    """Whether each speaks a language, in whatever variant; an unknown language is none."""
    primary = wanted.split("-")[0].casefold()
    table = np.asarray([*(word.split("-")[0].casefold() == primary for word in pool.words["language"]), False])
    speaks: Flags = table[pool.codes["language"][rows]]
    return speaks


def match(pool: Pool, prospect: Prospect, rows: Places, load: Load, seed: str, limit: int) -> Matches:
    """Return the first advocates for a request and their alternates, of the rows that may be asked at all.

    Args:
        pool: all customers.
        prospect: what the request says of the prospect.
        rows: who may be asked now, as places in the pool.
        load: what everybody was asked.
        seed: what the draw among equals follows from: the request's id.
        limit: how many to return.
    """
    if prospect.language is not None and pool.has("language"):
        rows = rows[_speaks(pool, prospect.language, rows)]
    fit, unused = fit_of(pool, prospect, rows)
    fits = np.flatnonzero(fit > 0)
    who, fit = rows[fits], fit[fits]
    acceptance, rest = load.acceptance[who], load.rest[who]
    place = _in_turn(fit * acceptance * rest, who, load, seed, limit)
    return Matches(who[place], fit[place], acceptance[place], rest[place], unused, len(who))


def _in_turn(value: Numbers, who: Places, load: Load, seed: str, limit: int) -> Places:
    """The first places in order: what they are worth in steps, and within a step whose turn it is."""
    best = float(value.max(initial=0.0))
    seeded = int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=8).digest())
    keys: tuple[Callable[[Places], np.ndarray[Any, Any]], ...] = (
        lambda at: np.floor(np.log(value[at] / best) / np.log(ABOUT_THE_SAME) + 1e-9),
        lambda at: load.asks_year[who[at]],
        lambda at: load.last_us[who[at]],
        lambda at: -value[at],
        lambda at: _drawn(who[at], seeded),
    )
    sure, ties, wanted = [], np.arange(len(value)), limit
    for key in keys:
        if len(ties) <= wanted or wanted <= 0:
            break
        of_ties = key(ties)
        last = np.partition(of_ties, wanted - 1)[wanted - 1]
        sure.append(ties[of_ties < last])
        wanted -= len(sure[-1])
        ties = ties[of_ties == last]
    ordered = np.concatenate([*sure, ties])
    return ordered[np.lexsort([key(ordered) for key in reversed(keys)])[:limit]]


def _drawn(rows: Places, seed: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A number for each row that follows from the row and a seed alone (the finaliser of SplitMix64)."""
    mixed = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
