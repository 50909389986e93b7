"""Parameters of the simulation: every constant, fixed before any model was fitted.

A change of any value is a new company: raise `VERSION`, and compute again what was measured on the old one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import log
from typing import Any

from vouch.features.instants import WEEK_US

VERSION = "1"

LAST_INSTANT_US = 1_794_787_200_000_000
"""Monday 2026-11-16 00:00 UTC: the simulated data run up to here, whatever the clock says."""


@dataclass(frozen=True)
class Latents:
    """Weekly drift: x <- mean + keep (x - mean) + noise z, with each customer's own mean."""

    satisfaction_mean: float = 0.25
    satisfaction_spread: float = 0.6
    satisfaction_keep: float = 0.95
    satisfaction_noise: float = 0.24
    engagement_mean: float = 0.0
    engagement_spread: float = 0.65
    engagement_keep: float = 0.9
    engagement_noise: float = 0.27
    engagement_pull: float = 0.03
    """How much of satisfaction flows into engagement each week."""
    affinity_mean: float = 0.0
    affinity_spread: float = 0.85
    affinity_keep: float = 0.97
    affinity_noise: float = 0.13
    affinity_pull: float = 0.015
    level_speed: float = 0.08
    """Weekly weight of the present in a customer's own usual level of engagement."""


@dataclass(frozen=True)
class Churn:
    """Weekly hazard of the decision to leave; see `vouch.features.simulation.causes.churn_intensity`."""

    base: float = 0.0027
    plans: tuple[float, ...] = (0.25, 0.0, -0.2, -0.5)
    """Log factors by plan."""
    trial: float = 1.3
    """Log factor around `trial_week`, when the first impression has passed; the weeks before and after are calmer."""
    trial_week: float = 9.0
    trial_width: float = 4.0
    dissatisfied: float = 1.1
    dissatisfied_at: float = -0.5
    falling: float = 2.8
    falling_at: float = 0.4
    falling_satisfaction: float = 0.1
    idle: float = 1.3
    idle_at: float = -1.1
    outgrown: float = 1.7
    outgrown_at: float = 1.0
    stuck: float = 12.0
    """Factor of an unresolved ticket for a customer on the first day; it fades with tenure."""
    stuck_weeks: float = 26.0
    annual_exposure: float = 25.0
    """Weeks of monthly hazard that an annual customer meets at once at the renewal, and at no other time."""
    involuntary: float = 0.0006
    involuntary_resumes: float = 0.3
    pause: float = 0.05
    """Share of immediate voluntary ends that resume within the gap."""
    notice: float = 0.3
    """Share of monthly ends announced ahead, by `notice_days`."""
    notice_days: int = 14
    annual_notice_weeks: int = 3
    """Weeks before renewal in which annual customers on larger plans must announce that they leave."""
    win_back: float = 0.006
    """Weekly share of former customers who return, later than any gap."""


@dataclass(frozen=True)
class AdvocacyRates:
    """Weekly rate of organic acts; see `vouch.features.simulation.causes.advocacy_rate`."""

    base: float = 0.02
    segments: tuple[float, ...] = (0.0, 0.1, -0.1, -0.4)
    """Log factors by segment."""
    affinity: tuple[float, float] = (1.25, 0.7)
    """Pairs are for customers at home (consumers) and at work (all others)."""
    floor: float = 0.05
    satisfaction_at: float = 0.1
    engaged_floor: float = 0.08
    engaged_at: tuple[float, float] = (0.0, -0.7)
    busy: tuple[float, float] = (0.0, 0.9)
    """What heavy use takes away again at work: those who live in the tool have no time to praise it."""
    busy_at: float = 0.4
    rest: float = 0.1
    """Factor in the `rest_weeks` after an organic act: who has just spoken up rests."""
    rest_weeks: int = 7
    stuck: float = 0.25
    honeymoon: float = 3.2
    """Factor for customers at home in weeks 3 to 16, when everything is new."""
    honeymoon_weeks: tuple[float, float] = (3.0, 16.0)
    seasoned: tuple[float, float, float] = (0.3, 1.0, 2.2)
    """Factors for customers at work before, between and after `seasoned_weeks`: they praise what has proved itself."""
    seasoned_weeks: tuple[float, float] = (20.0, 50.0)
    no_consent: float = 0.6
    buyer: float = 0.3
    gone: float = 0.12
    referral_share: float = 0.28
    incentivised: float = 0.25
    """Rewarded acts per organic act: a stream beside, no part of the organic rate."""


@dataclass(frozen=True)
class Support:
    """Tickets: few are slow, and a slow one stays open from Monday to Monday with probability 1 - solved."""

    rate: float = 0.05
    slow: float = 0.35
    solved: float = 0.35
    blow: float = 0.35
    """What a slow ticket takes from satisfaction."""


@dataclass(frozen=True)
class Shock:
    """Something that happens to many at once, `weeks_ago` weeks before the last instant."""

    kind: str
    weeks_ago: int
    satisfaction: float
    engagement: float
    countries: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()


@dataclass(frozen=True)
class Campaign:
    """A randomised retention campaign: a share of running customers, of whom a share is treated."""

    name: str
    weeks_ago: int
    share: float = 0.2
    treated: float = 0.5
    lift: float = 0.3
    cost: float = 12.0


@dataclass(frozen=True)
class Mixture:
    """Who the customers are."""

    silent: float = 0.05
    """Share that registers and then does nothing at all."""
    buyers: float = 0.11
    """Share that buys once or a few times and never subscribes."""
    internal: float = 0.01
    fraudsters: float = 0.004
    before_start: float = 0.4
    tenure_weeks: float = 60.0
    annual: float = 0.28
    member: float = 0.45
    contact_consent: float = 0.8
    advocacy_consent: float = 0.55
    add_on: float = 0.03


@dataclass(frozen=True)
class Habits:
    """How much customers differ for reasons of their own in what is seen of them: spreads of personal effects."""

    minutes: float = 0.3
    writing: float = 0.6
    community: float = 0.8
    breadth: float = 1.3
    scores: float = 0.6
    korean_scores: float = -0.4
    """Answers in Korea lean to the middle: a habit of scales, not a feeling."""


@dataclass(frozen=True)
class Blemishes:
    """Shares of rows with the defects of real tables."""

    late: float = 0.03
    duplicated: float = 0.001
    corrected: float = 0.002
    tied: float = 0.0003
    withdrawn: float = 0.0005


@dataclass(frozen=True)
class Parameters:
    """All constants, as one value that can be written beside the truth."""

    version: str = VERSION
    latents: Latents = field(default_factory=Latents)
    churn: Churn = field(default_factory=Churn)
    advocacy: AdvocacyRates = field(default_factory=AdvocacyRates)
    support: Support = field(default_factory=Support)
    mixture: Mixture = field(default_factory=Mixture)
    habits: Habits = field(default_factory=Habits)
    blemishes: Blemishes = field(default_factory=Blemishes)
    shocks: tuple[Shock, ...] = (
        Shock("launch", 66, 0.15, 0.2),
        Shock("outage", 50, -0.5, -0.1, countries=("US", "GB")),
        Shock("price_rise", 35, -0.45, 0.0, plans=("basic", "plus")),
        Shock("launch", 24, 0.1, 0.25, plans=("pro", "enterprise")),
        Shock("outage", 15, -0.4, -0.1, countries=("KR", "DE")),
    )
    campaigns: tuple[Campaign, ...] = (Campaign("spring", 41), Campaign("summer", 22), Campaign("autumn", 9))
    horizon_churn_weeks: int = 4
    horizon_advocacy_days: int = 90
    paths: int = 8
    """Forward latent paths per customer and week (half of them mirrored)."""
    world: int | None = None
    """Seed that the constants were drawn by; see `vouch.features.simulation.worlds`."""
    has_signal: bool = True
    prior_shift: float = 1.0
    """Factor of both hazards from `prior_shift_weeks_ago` weeks before the last instant on."""
    prior_shift_weeks_ago: int = 0

    def log_shift(self, at_us: int) -> float:
        """Log factor of both hazards in the week that begins at an instant."""
        is_after = at_us >= LAST_INSTANT_US - self.prior_shift_weeks_ago * WEEK_US
        return log(self.prior_shift) if is_after else 0.0

    def as_json(self) -> dict[str, Any]:
        """All constants as plain values."""
        return asdict(self)


PARAMETERS = Parameters()

SEGMENTS = ("consumer", "small_business", "mid_market", "enterprise")
SEGMENT_SHARES = (0.5, 0.3, 0.14, 0.06)
PLANS = ("basic", "plus", "pro", "enterprise")
PLAN_PRICES = (19.0, 49.0, 99.0, 399.0)
PLAN_SHARES = ((0.6, 0.32, 0.08, 0.0), (0.3, 0.45, 0.25, 0.0), (0.05, 0.3, 0.5, 0.15), (0.0, 0.05, 0.35, 0.6))
"""Plan shares by segment."""
PLAN_USAGE = (1.15, 1.35, 1.5, 1.7)
"""Log of weekly usage at engagement 0, by plan."""
COUNTRIES = ("US", "GB", "KR", "RO", "DE")
COUNTRY_SHARES = (0.3, 0.15, 0.25, 0.2, 0.1)
REGIONS = (
    ("US-CA", "US-NY", "US-TX"),
    ("GB-ENG", "GB-SCT", "GB-WLS"),
    ("KR-11", "KR-26", "KR-41"),
    ("RO-B", "RO-CJ", "RO-IS"),
    ("DE-BE", "DE-BY", "DE-HH"),
)
TAGS = (("en-US", "en-GB", "en"), ("ko", "ko-KR", "ko"), ("ro", "ro-RO", "ro"))
"""Tags by language as they stand in tables: the same language is written in several ways."""
LANGUAGE_OF_COUNTRY = (0, 0, 1, 2, 0)
INDUSTRIES = ("retail", "software", "health", "logistics", "education", "finance")
SOURCES = ("organic", "paid_search", "social", "partner", "event", "referral")
SOURCE_SHARES = (0.4, 0.25, 0.18, 0.12, 0.05)
EVENTS = ("view", "create", "edit", "search", "login", "share", "export", "invite", "help", "error")
FEATURES = (
    "dashboard", "search", "reports", "alerts", "sharing", "exports",
    "automation", "integrations", "comments", "templates", "forecast", "audit",
)  # fmt: skip
CATEGORIES = ("add_on", "training", "hardware", "supplies", "services", "templates")
