"""The service on 1,000,000 customers, beside an empty BentoML endpoint and FastAPI on uvicorn with the same answers.

Every request is another one: segments, regions and customers in turn. Requests carry a key and are written down, as
they are for a company; rates are medians of rounds in which all servers take turns.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np
from loading import rate, server, waits
from measuring import FOLDER, Row
from needs import WRK

from support import published_weeks as hand_company
from vouch.serving.commands.serve import SETTINGS
from vouch.serving.store import keys
from vouch.serving.store.connection import Database

IS_LONG = True
NEEDS = (WRK,)
HERE = FOLDER / "serving"
CUSTOMERS, ROUNDS, NOW = 1_000_000, 3, 1_800_000_000_000_000
PORTS = {"vouch": 3401, "empty": 3402, "plain": 3403}
_ORDER = random.Random(7)
BODIES = {
    "/v1/advocates/search": [
        {"segment": [segment], "region": [region], "limit": 20}
        for segment in hand_company.SEGMENTS
        for region in hand_company.REGIONS
    ],
    "/v1/customers/get": [
        {"customer_id": hand_company.customer_id(_ORDER.randrange(CUSTOMERS))} for _ in range(20_000)
    ],
}


def prepare() -> tuple[Path, str]:
    """A home with the company published, a policy without limits, and a key."""
    home = HERE / f"home-{CUSTOMERS}"
    if not (home / "snapshots").exists():
        hand_company.write_company(hand_company.fresh(home), CUSTOMERS)
    (home / "policy.toml").write_text("[limits]\nrequests_per_minute = 1000000000\n")
    database = Database(home)
    with database.reading() as connection:
        known = [key.name for key in keys.everyone(connection).values() if key.revoked_us is None]
    if "bench" in known:
        keys.revoke(database, "bench", NOW)
    made = keys.create(database, "bench", "write", NOW)
    database.close()
    return home, made


def started(stack: ExitStack, home: Path) -> dict[str, str]:
    """All servers, up."""
    settings = {**SETTINGS, "VOUCH_HOME": str(home)}
    empty = [sys.executable, "-m", "bentoml", "serve", "empty_service:Empty", "--host", "127.0.0.1", "--port"]
    plain = [sys.executable, "-m", "uvicorn", "plain_app:app", "--no-access-log", "--log-level", "error", "--port"]
    commands = {
        "vouch": [str(Path(sys.executable).with_name("vouch")), "serve", "--port", str(PORTS["vouch"])],
        "empty": [*empty, str(PORTS["empty"]), "--working-dir", str(Path(__file__).parent / "peers")],
        "plain": [*plain, str(PORTS["plain"])],
    }
    return {
        name: stack.enter_context(server(words, PORTS[name], HERE / f"{name}.log", **settings))
        for name, words in commands.items()
    }


def rows() -> Iterator[Row]:
    """Rates first, then tails at half of the rate."""
    home, key = prepare()
    with ExitStack() as stack:
        at = started(stack, home)
        for path, bodies in BODIES.items():
            rate(at["vouch"], path, bodies, key, HERE, 3)  # what is kept is kept
            rate(at["plain"], path, bodies, key, HERE, 3)
            found: dict[str, list[float]] = {"vouch": [], "empty": [], "plain": []}
            for _ in range(ROUNDS):
                found["empty"].append(rate(at["empty"], "/empty", [{}], key, HERE))
                for name in ("vouch", "plain"):
                    found[name].append(rate(at[name], path, bodies, key, HERE))
            middle = {name: median(values) for name, values in found.items()}
            note = ", ".join(f"{name} {value:,.0f}/s" for name, value in middle.items())
            yield Row(
                f"{path}, rate", "an empty BentoML endpoint", middle["vouch"] / middle["empty"], at_least=0.7, note=note
            )
            half = middle["vouch"] / 2
            tails = {name: [] for name in ("vouch", "plain")}
            for _ in range(ROUNDS):
                for name, of in tails.items():
                    of.append(float(np.quantile(waits(at[name], path, bodies, key, half, 8), 0.99)))
            tail = {name: median(values) for name, values in tails.items()}
            note = f"at {half:,.0f}/s: " + ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in tail.items())
            yield Row(
                f"{path}, 99th percentile", "FastAPI on uvicorn", tail["vouch"] / tail["plain"], at_most=3, note=note
            )
