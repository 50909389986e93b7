"""Messages: signed, each once under one id whatever dies on the way, to whom they concern, and to nobody else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import os
import random
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from support.capabilities import free_port
from support.handwritten_weeks import BEFORE, HOSTILE, MONDAY, WEEK, publish
from support.servers.answering import Served
from support.servers.on_loopback import on_loopback
from support.servers.running_service import VOUCH, wait_for
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import ConfigurationError, DataError
from vouch.features.project import environment
from vouch.serving.batch.run_records import recording
from vouch.serving.reach.destinations import FILE, load_destinations
from vouch.serving.reach.messages import announcing, sending
from vouch.serving.reach.messages.announcing import messages, sentences
from vouch.serving.reach.messages.sending import _slack, channels_of, notify_once, signed
from vouch.serving.store.actions import set_objection
from vouch.serving.store.callers import EVERYBODY, Caller
from vouch.serving.store.connection import Database
from vouch.serving.store.outbox import (
    DIGEST,
    DIGESTS_A_WEEK,
    MOST_TRIES,
    Message,
    announce,
    delivered,
    due,
    revive,
    set_paused,
    standing_of_destinations,
)
from vouch.serving.store.tables import audit

KEY = base64.b64encode(b"k" * 32).decode()
SECRET = f"whsec_{KEY}"
NOW = MONDAY + DAY_US
ADMIN = Caller("1", "an admin", "admin")
PEOPLE = tuple({**person, "owner": "Ana" if person["customer_id"] != "c3" else "Ion"} for person in WEEK)
MOVERS = [
    {"customer_id": who, "model": model, "list": name, "rank": 1, "probability": 0.6, "raw": 1.0,
     "probability_before": 0.1, "raw_before": 0.0, "state": "high", "state_before": "low", "changes": None}
    for who, model, name in (("c1", "churn", "new_high"), ("c3", "advocacy", "new_advocate"))
]  # fmt: skip


class Receiver:
    """A system that takes webhooks, checks what it is sent, and answers as it is told to."""

    def __init__(self) -> None:
        self.answer = lambda _: 204
        self.taken: list[tuple[str, dict]] = []
        self.tries = 0
        self.app = Starlette(routes=[Route("/{place:path}", self.take, methods=["POST"])])

    async def take(self, request: Request) -> Response:
        body = await request.body()
        self.tries += 1
        status = self.answer(self.tries)
        if status < 300:
            if "webhook-id" in request.headers:
                said = (
                    ".".join(request.headers[f"webhook-{name}"] for name in ("id", "timestamp")).encode() + b"." + body
                )
                wanted = base64.b64encode(hmac.new(base64.b64decode(KEY), said, hashlib.sha256).digest()).decode()
                assert request.headers["webhook-signature"] == f"v1,{wanted}"
            self.taken.append((request.headers.get("webhook-id", ""), json.loads(body)))
        return Response(status_code=status)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOOK", SECRET)
    publish(tmp_path, BEFORE)
    publish(tmp_path, people=PEOPLE, movers=MOVERS)
    return tmp_path


@pytest.fixture
def database(home):
    found = Database(home)
    yield found
    found.close()


def settle(home, url, more=""):
    (home / FILE).write_text(
        f'allow = ["127.0.0.1"]\n{more}\n[[webhooks]]\nname = "hub"\nurl = "{url}/hub"\nsecret = "HOOK"\n'
    )
    return load_destinations(home)


TICKS = itertools.count(1)


def sent(home, database, settings, at_us=None):
    """A round: a minute after the one before, unless its time is given."""
    return notify_once(home, database, settings, NOW + 60_000_000 * next(TICKS) if at_us is None else at_us)


def test_a_published_week_and_each_owners_changes_arrive_once_and_signed(home, database):
    receiver = Receiver()
    with on_loopback(receiver.app) as url:
        settings = settle(home, url)
        first, again = (sent(home, database, settings) for _ in range(2))
    assert (first.announced, first.delivered, again.announced, again.delivered) == (3, 3, 0, 0)
    assert len({name for name, _ in receiver.taken}) == len(receiver.taken) == 3
    assert {body["timestamp"] for _, body in receiver.taken} == {"2026-11-16T00:00:00Z"}
    told = {(body["type"], body["data"].get("owner")): body["data"] for _, body in receiver.taken}
    assert told.keys() == {("week.published", None), (DIGEST, "Ana"), (DIGEST, "Ion")}
    assert told["week.published", None]["customers"] == len(WEEK)
    assert [row["customer_id"] for row in told[DIGEST, "Ana"]["newly_at_risk"]] == ["c1"]
    assert [row["customer_id"] for row in told[DIGEST, "Ion"]["new_advocates"]] == ["c3"]


def test_a_refused_run_is_told_with_its_reason_and_each_run_once(home, database):
    from vouch.features.errors import Refused

    receiver = Receiver()
    with on_loopback(receiver.app) as url:
        settings = settle(home, url)
        sent(home, database, settings)
        for number in (1, 2, 2):
            with pytest.raises(Refused), recording(home, "score", NOW + number * DAY_US):
                raise Refused("half of the usage is missing")
            sent(home, database, settings)
    refused = [body["data"] for _, body in receiver.taken if body["type"] == "week.refused"]
    assert len(refused) == 2
    assert {data["message"] for data in refused} == {"half of the usage is missing"}


def test_a_job_that_failed_is_told_once_by_its_name_until_it_fails_anew_or_goes_well(home, database):
    receiver = Receiver()
    with on_loopback(receiver.app) as url:
        settings = settle(home, url)
        sent(home, database, settings)
        met = (("score", OSError("/data/Ana Pop.csv")), ("train", DataError("no table")), ("notify", OSError()))
        for command, error in met:
            with pytest.raises(type(error)), recording(home, command, NOW + DAY_US):
                raise error
        for _ in range(2):
            sent(home, database, settings)
        with recording(home, "score", NOW + 2 * DAY_US):
            pass
        sent(home, database, settings)
    failed = [body["data"] for _, body in receiver.taken if body["type"] == "run.failed"]
    assert {(data["command"], data["code"], data["message"]) for data in failed} == {
        ("score", "unforeseen", "OSError"), ("train", DataError.code, "no table"),
    }  # fmt: skip
    assert len(failed) == 2
    title, text = sentences({"type": "run.failed", "data": failed[0]})
    assert failed[0]["command"] in title
    assert failed[0]["message"] in text


def test_a_name_is_one_line_of_a_message_whatever_stands_in_it():
    row = {"name": "Ana\n\nNewly at risk: 9\r\x1b[31m\u2028- Bob", "customer_id": "c1"}
    data = {"owner": "Eve\nSubject: x", "as_of": "2026-11-16", "newly_at_risk": [row], "new_advocates": []}
    title, text = sentences({"type": "owner.digest", "data": data})
    assert title.splitlines() == [title]
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text


def test_who_objects_or_is_gone_by_the_time_of_sending_is_in_no_message(home, database):
    receiver = Receiver()
    receiver.answer = lambda _: 503
    with on_loopback(receiver.app) as url:
        settings = settle(home, url)
        sent(home, database, settings)
        set_objection(database, "c1", True, EVERYBODY, NOW)
        receiver.answer = lambda _: 204
        done = sent(home, database, settings, NOW + DAY_US)
    assert "c1" not in json.dumps([body for _, body in receiver.taken])
    assert (done.delivered, done.dropped) == (2, 1)
    stored = b"".join(path.read_bytes() for path in (home / "serving").glob("store.sqlite*"))
    assert b"newly_at_risk" in stored
    with database.reading() as connection:
        assert standing_of_destinations(connection)[0]["delivered"] == 2


def test_what_does_not_arrive_is_tried_ever_later_and_given_up_for_all_to_see(home, database):
    receiver, at_us = Receiver(), NOW
    receiver.answer = lambda _: 500
    with on_loopback(receiver.app) as url:
        settings = settle(home, url)
        for _ in range(MOST_TRIES):
            sent(home, database, settings, at_us)
            assert sent(home, database, settings, at_us).failed == 0, "not before its time"
            at_us += DAY_US // 3
        assert receiver.tries == 3 * MOST_TRIES
        with database.reading() as connection:
            (row,) = standing_of_destinations(connection)
        assert (row["dead"], row["waiting"], row["delivered"]) == (3, 0, 0)
        assert "500" in row["trouble"]
        receiver.answer = lambda _: 200
        assert revive(database, at_us) == 3
        assert sent(home, database, settings, at_us).delivered == 3
    assert len({name for name, _ in receiver.taken}) == 3


def test_a_receiver_that_is_gone_is_not_told_again_and_one_that_rests_is_told_later(home, database):
    receiver = Receiver()
    receiver.answer = lambda _: 410
    with on_loopback(receiver.app) as url:
        settings = settle(home, url)
        set_paused(database, "hub", True, ADMIN, NOW)
        assert sent(home, database, settings).failed == 0
        with database.reading() as connection:
            assert standing_of_destinations(connection)[0]["paused_by"] == "an admin"
        assert (set_paused(database, "hub", False, ADMIN, NOW), set_paused(database, "hub", False, ADMIN, NOW)) == (
            True,
            False,
        )
        with database.reading() as connection:
            noted = [(row.actor, row.action) for row in connection.execute(select(audit))]
        assert noted == [("an admin", "paused a receiver"), ("an admin", "resumed a receiver")]
        assert sent(home, database, settings).dead == 3
        assert sent(home, database, settings, NOW + 9 * DAY_US).failed == 0


class Silence(socketserver.BaseRequestHandler):
    """Somebody who takes a connection and says nothing."""

    def handle(self) -> None:
        self.server.called.append(self.client_address)


def test_who_says_nothing_is_waited_for_once_in_a_round_and_keeps_nobody_waiting(home, database):
    receiver = Receiver()
    with on_loopback(receiver.app) as url, socketserver.ThreadingTCPServer(("127.0.0.1", 0), Silence) as silent:
        silent.called = []
        threading.Thread(target=silent.serve_forever, daemon=True).start()
        dumb = f'[[webhooks]]\nname = "dumb"\nurl = "http://127.0.0.1:{silent.server_address[1]}"\nsecret = "HOOK"\n'
        done = sent(home, database, settle(home, url, dumb))
        silent.shutdown()
    assert (done.delivered, done.failed, len(silent.called)) == (3, 3, 1)
    with database.reading() as connection:
        rows = {row["destination"]: row for row in standing_of_destinations(connection)}
    assert rows["dumb"]["waiting"] == 3
    assert "does not answer" in rows["dumb"]["trouble"]


def test_an_owner_has_at_most_five_digests_in_a_week(database):
    weeks = [Message("hub", DIGEST, NOW, revision, "Ana") for revision in range(1, 9)]
    assert sum(announce(database, [week], NOW) for week in weeks) == DIGESTS_A_WEEK
    assert announce(database, weeks[:5], NOW) == 0
    assert announce(database, [Message("hub", DIGEST, NOW, 9, "Ion")], NOW) == 1
    assert announce(database, [Message("hub", DIGEST, NOW, 10, "Ana")], NOW + 8 * DAY_US) == 1


class Killed(BaseException):
    """The end of the process."""


def test_a_death_between_arrival_and_note_sends_the_same_id_again(home, database, monkeypatch):
    receiver = Receiver()

    def dying(*_):
        raise Killed

    with on_loopback(receiver.app) as url:
        settings = settle(home, url)
        monkeypatch.setattr(sending, "delivered", dying)
        for _ in range(2):
            with pytest.raises(Killed):
                sent(home, database, settings)
        monkeypatch.setattr(sending, "delivered", delivered)
        sent(home, database, settings)
    assert len(receiver.taken) == 5
    assert len({name for name, _ in receiver.taken}) == 3
    assert due(database, NOW + 99 * DAY_US) == []


def test_chats_are_told_in_plain_text(home, database, monkeypatch):
    receiver = Receiver()
    with on_loopback(receiver.app) as url:
        monkeypatch.setenv("CHAT", f"{url}/chat")
        people = [{**person, "owner": HOSTILE} for person in PEOPLE]
        publish(home, MONDAY + 7 * DAY_US, people=people, movers=MOVERS)
        text = "".join(f'[[chats]]\nname = "{kind}"\nkind = "{kind}"\nurl = "CHAT"\n' for kind in ("slack", "teams"))
        settings = settle(home, url, text)
        assert sent(home, database, settings, NOW + 7 * DAY_US).delivered == 6
    cards = [body for name, body in receiver.taken if not name]
    slack = [block["text"]["type"] for body in cards for block in body.get("blocks", ())]
    assert set(slack) == {"plain_text"}
    assert not [body for body in cards if "<" in body.get("text", "")]
    teams = [body["attachments"][0]["content"] for body in cards if "attachments" in body]
    assert len(teams) == 2
    assert all("CHAT" not in json.dumps(body) for body in cards)


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=4_000), max_size=40))
@hypothesis_settings(max_examples=50, deadline=None)
def test_slack_is_told_all_lines_in_blocks_that_it_takes(lines):
    said = "\n".join(lines)
    header, *blocks = _slack("title", said)["blocks"]
    texts = [block["text"]["text"] for block in blocks]
    assert header["type"] == "header"
    assert all(0 < len(text) <= 3_000 for text in texts)
    assert "".join(texts) == (said or "-")


def test_a_round_reads_a_week_once_and_again_once_its_files_are_others(home, database, monkeypatch):
    read, whole = [], announcing.read_snapshot
    monkeypatch.setattr(announcing, "read_snapshot", lambda *given: read.append(given[2]) or whole(*given))
    announcing._movers.cache_clear()
    assert announcing.changes_by_owner(home, database, MONDAY).keys() == {"Ana", "Ion"}
    set_objection(database, "c3", True, EVERYBODY, NOW)
    assert announcing.changes_by_owner(home, database, MONDAY).keys() == {"Ana"}
    assert len([tables for tables in read if tables]) == 1
    publish(home, people=[person for person in PEOPLE if person["customer_id"] != "c1"], movers=MOVERS)
    assert announcing.changes_by_owner(home, database, MONDAY) == {}
    assert len([tables for tables in read if tables]) == 2


class Mailbox(socketserver.StreamRequestHandler):
    """A server that takes e-mail as RFC 5321 has it; where it speaks of TLS, it ends there."""

    def handle(self) -> None:
        say = lambda line: self.wfile.write(line.encode() + b"\r\n")  # noqa: E731 - one line
        say("220 here")
        while line := self.rfile.readline().decode().strip():
            word = line.upper().split(":")[0].split()[0]
            if word == "DATA":
                say("354 go on")
                text = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    text += part
                self.server.taken.append(text.decode())
            elif word == "EHLO" and self.server.has_tls:
                say("250-here")
                say("250 STARTTLS")
                continue
            elif word == "STARTTLS":
                say("220 go on")
                return
            elif word == "QUIT":
                say("221 bye")
                return
            say("250 done")


@contextmanager
def mailbox(*, has_tls=False):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox) as server:
        server.taken, server.has_tls, server.daemon_threads = [], has_tls, True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_mail_goes_to_each_owner_and_to_those_who_are_told_of_weeks(home, database):
    with mailbox() as server:
        (home / FILE).write_text(
            f'allow = ["127.0.0.1"]\n[email]\nhost = "127.0.0.1"\nport = {server.server_address[1]}\n'
            'sender = "vouch@x.example"\nto = ["ops@x.example"]\nowners = { Ana = "ana@x.example" }\n'
        )
        done = sent(home, database, load_destinations(home))
        taken = list(server.taken)
    assert (done.announced, done.delivered) == (2, 2)
    told = {text.partition("To: ")[2].partition("\r\n")[0]: text for text in taken}
    assert told.keys() == {"ops@x.example", "ana@x.example"}
    assert "Newly at risk: 1" in told["ana@x.example"]
    assert len({text.partition("Message-ID: ")[2].partition("\r\n")[0] for text in taken}) == 2


def test_what_is_to_reach_nobody_any_more_or_cannot_be_written_keeps_nothing_else_from_arriving(home, database):
    receiver = Receiver()
    receiver.answer = lambda _: 503
    mail = '[email]\nhost = "127.0.0.1"\nport = {}\nsender = "{}"\nto = ["ops@x.example"]\n{}'
    with on_loopback(receiver.app) as url, mailbox() as server:
        port = server.server_address[1]
        first = settle(home, url, mail.format(1, "vouch@x.example", 'owners = { Ana = "ana@x.example" }\n'))
        assert (done := sent(home, database, first)).failed == done.announced == 5
        receiver.answer = lambda _: 204
        later = settle(home, url, mail.format(port, "a\\nBcc: everybody@x.example", ""))
        done = sent(home, database, later, NOW + DAY_US)
        assert (done.delivered, done.dead, done.failed) == (3, 1, 1), "to Ana is nobody, and the sender is no address"
        assert not server.taken


def test_mail_goes_to_the_address_that_was_checked_and_asks_for_the_name_of_the_host(home, database, monkeypatch):
    asked, found = [], iter(["127.0.0.1", "10.0.0.1"])

    class Context:
        def wrap_socket(self, sock, server_hostname):
            asked.append(server_hostname)
            raise ssl.SSLError("there is no certificate here")

    def resolve(host, port, *_, **__):
        address = next(found) if host == "mail.example" else host
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(ssl, "create_default_context", Context)
    with mailbox(has_tls=True) as server:
        (home / FILE).write_text(
            f'allow = ["mail.example"]\n[email]\nhost = "mail.example"\nport = {server.server_address[1]}\n'
            'sender = "vouch@x.example"\nto = ["ops@x.example"]\n'
        )
        assert sent(home, database, load_destinations(home)).failed == 1
    assert asked == ["mail.example"]


def test_a_secret_that_is_none_and_two_of_one_name_are_refused(home):
    with pytest.raises(ConfigurationError, match="whsec_"):
        signed("msg_1", 1, b"", "short")
    twice = '[[webhooks]]\nname = "hub"\nurl = "https://x.example"\nsecret = "HOOK"\n'
    with pytest.raises(ConfigurationError, match="hub"):
        channels_of(settle(home, "https://x.example", twice))


def test_what_is_told_follows_from_the_week_alone(home, database):
    settings = settle(home, "https://x.example")
    first, again = ([one.message_id for one in messages(home, database, channels_of(settings))] for _ in range(2))
    assert first == again
    assert len(set(first)) == 3


def test_an_admin_lets_a_receiver_rest_over_http_and_names_no_address(tmp_path, monkeypatch):
    monkeypatch.setenv("HOOK", SECRET)
    served = Served(tmp_path)
    receiver = Receiver()
    with on_loopback(receiver.app) as url:
        settings = settle(tmp_path, url)

        def told(kind, path, **body):
            return served.call("POST", f"/v1/webhooks{path}", kind, json=body)

        assert {told(kind, "/pause", name="hub").status_code for kind in ("read", "write")} == {403}
        assert told("admin", "/pause", name="hub").json() == {"name": "hub", "is_paused": True, "is_new": True}
        assert told("admin", "/pause", name="hub").json()["is_new"] is False
        assert (sent(tmp_path, served.database, settings).announced, receiver.tries) == (1, 0)
        (row,) = told("admin", "").json()["receivers"]
        assert (row["name"], row["waiting"], row["paused_by"]) == ("hub", 1, "admin")
        assert told("admin", "/resume", name="hub").json()["is_paused"] is False
        assert sent(tmp_path, served.database, settings).delivered == 1
        assert told("admin", "/pause", name="other").json()["code"] == "unknown_webhook"
        assert told("admin", "/pause", name="hub", url="https://evil.example").status_code == 422
        (tmp_path / FILE).write_text("[nonsense")
        wrong = [told("admin", ""), told("admin", "/pause", name="hub")]
        assert [(answer.status_code, answer.json()["code"]) for answer in wrong] == [(503, "unavailable")] * 2
    served.close()


@pytest.mark.nightly
def test_fifty_kills_lose_and_double_nothing(home, database):
    dice, receiver = random.Random(3), Receiver()
    with on_loopback(receiver.app) as url:
        settle(home, url)
        told = environment(VOUCH_HOME=str(home))
        wanted = 0
        for kill in range(50):
            publish(
                home, people=PEOPLE, movers=MOVERS
            )  # another revision: three more messages, until the cap of digests
            process = subprocess.Popen(
                [VOUCH, "notify"], env=told, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            last = receiver.tries + dice.randint(1, 3)

            def ending(number, last=last, process=process):
                if number == last:
                    os.kill(process.pid, signal.SIGKILL)
                return 204

            receiver.answer = ending
            process.wait(120)
            wanted += kill >= 0
        receiver.answer = lambda _: 204
        subprocess.run([VOUCH, "notify"], env=told, check=True, capture_output=True, timeout=120)
    with database.reading() as connection:
        (row,) = standing_of_destinations(connection)
    assert (row["waiting"], row["dead"]) == (0, 0)
    by_id = dict(receiver.taken)
    assert len(by_id) == row["delivered"]
    assert len(
        {json.dumps([body["type"], body["data"].get("revision"), body["data"].get("owner")]) for body in by_id.values()}
    ) == len(by_id)


DYING = """
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

port, notes, dies_at, has_noted = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == "noted"

class Takes(BaseHTTPRequestHandler):
    taken = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        Takes.taken += 1
        if Takes.taken == dies_at and not has_noted:
            os.kill(os.getpid(), signal.SIGKILL)
        with open(notes, "a") as file:
            file.write(json.dumps([self.headers["webhook-id"], json.loads(body)]) + chr(10))
        if Takes.taken == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass

HTTPServer(("127.0.0.1", port), Takes).serve_forever()
"""
"""A receiver that kills itself half-way through a message, before or after it has noted it."""


@pytest.mark.nightly
def test_a_receiver_that_is_killed_fifty_times_half_way_has_each_message_under_one_id(home, database):
    dice, port, notes, at_us, kills = random.Random(5), free_port(), home.parent / "notes", NOW, 0
    settings = settle(home, f"http://127.0.0.1:{port}")
    while kills < 50:
        publish(home, people=PEOPLE, movers=MOVERS)
        words = [port, notes, dice.randint(1, 2), dice.choice(["noted", "not noted"])]
        with subprocess.Popen([sys.executable, "-c", DYING, *map(str, words)]) as receiver:
            wait_for(lambda: not is_free(port), 20)
            sent(home, database, settings, at_us)
            receiver.kill()
        kills += 1
        at_us += DAY_US
    with subprocess.Popen([sys.executable, "-c", DYING, str(port), str(notes), "0", "not noted"]) as receiver:
        wait_for(lambda: not is_free(port), 20)
        revive(database, at_us)  # those that were given up, for all to see
        sent(home, database, settings, at_us + DAY_US)
        receiver.kill()
    with database.reading() as connection:
        (row,) = standing_of_destinations(connection)
    taken = [json.loads(line) for line in notes.read_text().splitlines()]
    by_id = dict(taken)
    assert (row["waiting"], row["dead"]) == (0, 0)
    assert len(by_id) == row["delivered"] >= 50
    assert len(taken) > len(by_id), "what was noted and not answered was sent again, under the same id"
    told = [(body["type"], body["data"].get("revision"), body["data"].get("owner")) for body in by_id.values()]
    assert len(set(told)) == len(told)


def is_free(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) != 0
