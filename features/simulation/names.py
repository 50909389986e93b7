"""Simulated names: people, accounts, owners and links into a CRM, made up, and plainly so.

They say nothing of what a customer does and are drawn from a stream of their own, so that nothing else moves with them.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from vouch.features.simulation.frames import Frame, Key, Numbers, Text

if TYPE_CHECKING:
    from vouch.features.simulation.population import Population

GIVEN = (
    ("Ada", "Ben", "Clara", "Dylan", "Emma", "Felix", "Grace", "Hugo", "Iris", "Jonas", "Kate", "Liam", "Mona", "Noah",
     "Olive", "Paul"),
    ("가람", "나래", "다온", "라온", "마루", "바다", "새봄", "아름", "이든", "하늘", "한결", "해솔"),
    ("Ana", "Bogdan", "Cătălina", "Dan", "Elena", "Florin", "Gabriela", "Horia", "Ioana", "Luca", "Mihai", "Ștefan"),
)  # fmt: skip
FAMILY = (
    ("Samplewood", "Fictor", "Mockridge", "Dummont", "Imagina", "Placeholt", "Testerly", "Notreal", "Inventley",
     "Madeupson"),
    ("가상", "견본", "보기", "예시"),
    ("Exemplescu", "Fictivu", "Probăreanu", "Modelaru", "Născocitu", "Închipuitu"),
)  # fmt: skip
FIRST = (
    "North", "Harbour", "Ridge", "Lake", "Field", "Blue", "Stone", "Old Town", "River", "Bright", "Green", "Summit",
    "Coast", "Meadow", "Silver", "Amber", "Cedar", "Maple", "Falcon", "Comet", "Delta", "Orbit", "Pioneer", "Lantern",
)  # fmt: skip
TRADE = (
    "Energy", "Foods", "Logistics", "Clinic", "Labs", "Printing", "Works", "Books", "Travel", "Software", "Bakery",
    "Studios", "Motors", "Textiles", "Media", "Insurance", "Dental", "Optics", "Farms", "Tools", "Hotels", "Games",
)  # fmt: skip
OWNERS = ("Ines Demo", "Jae Demo", "Karin Demo", "Lucian Demo", "Mei Demo", "Nils Demo", "Oana Demo", "Pat Demo")
LINK = "https://crm.example/customers/{customer_id}"


def account_names(number: int) -> tuple[str, ...]:
    """Return so many different names of companies.

    >>> account_names(2)
    ('North Energy Example', 'North Foods Example')
    """
    base = [f"{first} {trade} Example" for first, trade in product(FIRST, TRADE)]
    rounds = -(-number // len(base))
    return tuple(name if turn == 1 else f"{name} {turn}" for turn in range(1, rounds + 1) for name in base)[:number]


def personal_columns(people: Population, account: Numbers, random: np.random.Generator) -> Frame:
    """Return name, account name, owner, the owner's address and the link of each; `account` is -1 for a consumer."""
    languages = [
        [f"{family}{given}" if language == 1 else f"{given} {family}" for given, family in product(givens, families)]
        for language, (givens, families) in enumerate(zip(GIVEN, FAMILY, strict=True))
    ]
    firsts = np.cumsum([0, *map(len, languages)])
    drawn = random.random(people.size) * np.asarray([len(names) for names in languages])[people.language]
    accounts = int(account.max(initial=-1)) + 1
    named = random.permutation(accounts) if accounts else np.zeros(0, dtype=np.int64)
    held = random.integers(0, len(OWNERS), max(accounts, 1))
    is_business = account >= 0
    owner = np.where(is_business, held[account], -1)
    return {
        "name": Text(
            firsts[people.language] + drawn.astype(np.int64), tuple(name for names in languages for name in names)
        ),
        "account_name": Text(np.where(is_business, named[account] if accounts else -1, -1), account_names(accounts)),
        "owner": Text(owner, OWNERS),
        "owner_email": Text(owner, tuple(f"{name.split()[0].lower()}@vouch.example" for name in OWNERS)),
        "crm_url": Text(np.zeros(people.size, dtype=np.int8), (LINK,)),
    }


def account_numbers(frame: Frame) -> Numbers:
    """The number of each customer's account in a table of customers, -1 where there is none."""
    key = frame["account_id"]
    assert isinstance(key, Key)
    return key.numbers
