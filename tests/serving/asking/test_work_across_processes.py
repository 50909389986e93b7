"""Processes that ask, put right and take back at once keep the caps together, as one that does all of it by itself."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import select

from support.handwritten_weeks import MONDAY
from vouch.features.contract.tables import DAY_US
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.store.asks import of_customer
from vouch.serving.store.connection import Database
from vouch.serving.store.tables import ask_versions

NOW = MONDAY + 6 * 3_600_000_000
CUSTOMERS = ("a", "b", "c")
CAPS = {"asks_in_30_days": 1, "asks_in_90_days": 2, "open_asks": 2, "rest_days_after_refusal": 20}
WORK = """
import pathlib, random, sys
from vouch.features.contract.tables import DAY_US
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.store.asks import Wanted, correct_ask, set_outcome, store_ask, withdraw_ask
from vouch.serving.store.callers import EVERYBODY
from vouch.serving.store.connection import Database
home, url, seed, now_us = pathlib.Path(sys.argv[1]), sys.argv[2] or None, int(sys.argv[3]), int(sys.argv[4])
database, policy, chance = Database(home, url), load_policy(home), random.Random(seed)
groups, sizes = {"segment": None, "region": None}, {"segment": {}, "region": {}}
mine, answered = [], []  # of this process; now and then it takes one of another's
print("ready", flush=True)
sys.stdin.readline()
for step in range(60):
    at_us, other = now_us + step * DAY_US, f"{chance.randrange(3)} {chance.randrange(step + 1)}"
    some = other if chance.random() < 0.3 else chance.choice(mine or [other])
    back_us, outcome = at_us - chance.randrange(60) * DAY_US, chance.choice(["accepted", "declined", "ignored"])
    act = chance.choice(["ask", "ask", "ask", "answer", "correct", "move", "withdraw"])
    if act == "ask":
        wanted = Wanted(f"{seed} {step}", chance.choice("abc"), "referral", groups, None, None, False, back_us)
        done = store_ask(database, wanted, policy, sizes, EVERYBODY, at_us)
    elif act == "answer":
        done = set_outcome(database, some, outcome, EVERYBODY, at_us)
    elif act == "withdraw":
        done = withdraw_ask(database, some, EVERYBODY, at_us)
    else:
        some = some if act == "move" else chance.choice(answered or [some])
        changes = {"asked_us": back_us} if act == "move" else {"outcome": chance.choice([None, outcome])}
        done = correct_ask(database, some, changes, policy, EVERYBODY, at_us)
    if done.why is None and act in ("ask", "answer"):
        (mine if act == "ask" else answered).append(done.ask.ask_id)
    print(act, done.why is None, flush=True)
"""


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_no_cap_is_broken_by_asks_corrections_and_withdrawals_of_several_processes(kind, request, tmp_path):
    url = request.getfixturevalue("make_database")() if kind == "postgres" else None
    (tmp_path / "policy.toml").write_text("[caps]\n" + "".join(f"{name} = {of}\n" for name, of in CAPS.items()))
    database = Database(tmp_path, url)
    database.versions()
    command = [sys.executable, "-c", WORK, str(tmp_path), url or ""]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([*command, str(n), str(NOW)], **options) for n in range(3)]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 3
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    lines = [line.split() for process in started for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(lines) == 3 * 60
    assert {act for act, is_done in lines if is_done == "True"} >= {"ask", "answer", "correct", "withdraw"}
    caps = load_policy(tmp_path).caps
    with database.reading() as connection:
        held = {name: of_customer(connection, name) for name in CUSTOMERS}
        assert len(connection.execute(select(ask_versions)).all()) > sum(map(len, held.values()))
    for asks in held.values():
        assert asks
        for days, most in caps.windows:
            for one in asks:
                near = [other for other in asks if 0 <= one.asked_us - other.asked_us < days * DAY_US]
                assert len(near) <= most, f"{len(near)} asks in {days} days"
    database.close()
