"""Sending: what waits in the outbox to its receivers, with a signature, under one id, until it has arrived or is dead.

Webhooks follow Standard Webhooks 1.0 (github.com/standard-webhooks): `webhook-id`, `webhook-timestamp`, and
`webhook-signature`, `v1,` with HMAC-SHA256 over `id.timestamp.body` in base64; any 2xx is an arrival, and 410 asks to
be told no more. A process that dies between an arrival and its note sends the same id again: a receiver that keeps ids
sees each message once. E-mail carries the id as its `Message-ID`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import smtplib
import ssl
import time
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any

from vouch.features.errors import ConfigurationError
from vouch.serving.reach.destinations import checked_address, secret_of
from vouch.serving.reach.messages.announcing import messages, sentences, what_it_says
from vouch.serving.reach.messages.settings import Chat, Mail, Webhook
from vouch.serving.reach.outbound import NoAnswer, Outbound, OutboundError
from vouch.serving.store.outbox import DIGEST, announce, delivered, drop, due, failed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vouch.serving.reach.destinations import Destinations
    from vouch.serving.reach.messages.settings import Channel
    from vouch.serving.store.connection import Database
    from vouch.serving.store.outbox import Message

GONE = 410
MAIL_SECONDS = 30
MOST_BLOCKS = 49
_WHOLE_LINES = re.compile(r"(?s).{1,2900}(?:\n|\Z)|.{1,2900}")
"""What a block of Slack takes: 3,000 characters; a message has 50, the header among them."""


@dataclass
class Notified:
    """What a round has done."""

    announced: int = 0
    delivered: int = 0
    failed: int = 0
    dead: int = 0
    dropped: int = 0
    """Messages of which nothing was left to say."""


def notify_once(home: Path, database: Database, settings: Destinations, now_us: int) -> Notified:
    """Announce what happened, and try to send all that waits and is due. Call it under the lock of messages."""
    started = time.monotonic()

    def clock_us() -> int:
        """Now, as the round goes on: a receiver refuses what was signed long ago."""
        return now_us + round((time.monotonic() - started) * 1_000_000)

    channels = channels_of(settings)
    done = Notified(announced=announce(database, messages(home, database, channels), clock_us()))
    silent: dict[str, str] = {}
    for message in due(database, clock_us()):
        channel = channels.get(message.destination)
        if channel is None or not channel.wants(message.kind, message.owner):
            trouble = "destinations.toml names nobody any more to whom it is to be said"
            done.dead += failed(database, message, trouble, clock_us(), is_final=True)
            continue
        content = what_it_says(home, database, message)
        if content is None:
            drop(database, message)
            done.dropped += 1
            continue
        try:
            if message.destination in silent:
                raise OutboundError(silent[message.destination])
            _send(channel, settings, message, content, clock_us())
        except (OutboundError, ConfigurationError) as error:
            if isinstance(error, NoAnswer):  # others are not to wait for it again and again
                silent[message.destination] = str(error)
            is_gone = getattr(error, "status", None) == GONE
            done.dead += failed(database, message, str(error), clock_us(), is_final=is_gone)
            done.failed += 1
        else:
            delivered(database, message, clock_us())
            done.delivered += 1
    return done


def channels_of(settings: Destinations) -> dict[str, Channel]:
    """Return all receivers by name; raises ConfigurationError where two have one name."""
    mail = [settings.email] if settings.email.host else []
    channels: dict[str, Channel] = {}
    for channel in (*settings.webhooks, *settings.chats, *mail):
        if channel.name in channels:
            raise ConfigurationError(f"destinations.toml: two receivers are called {channel.name}")
        channels[channel.name] = channel
    return channels


def _send(channel: Channel, settings: Destinations, message: Message, content: Mapping[str, Any], now_us: int) -> None:
    """One try; raises OutboundError where it did not arrive."""
    if isinstance(channel, Mail):
        _mail(channel, settings, message, content)
        return
    if isinstance(channel, Webhook):
        url, body = channel.url, json.dumps(content, ensure_ascii=False).encode()
        headers = signed(message.message_id, now_us // 1_000_000, body, secret_of(channel.secret))
    else:
        assert isinstance(channel, Chat)
        title, lines = sentences(content)
        url, headers = secret_of(channel.url), {}
        body = json.dumps(_card(title, lines) if channel.kind == "teams" else _slack(title, lines)).encode()
    with Outbound(url, settings.allow, tries=1, is_read=False) as outbound:
        outbound.call("POST", content=body, headers={**headers, "content-type": "application/json"})


def signed(message_id: str, seconds: int, body: bytes, secret: str) -> dict[str, str]:
    """Return the headers of a webhook; the secret is `whsec_` and base64, as the standard writes it.

    >>> from base64 import b64encode
    >>> secret = "whsec_" + b64encode(b"k" * 24).decode()
    >>> signed("msg_1", 1, b"{}", secret)["webhook-signature"][:3]
    'v1,'
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 24 <= len(key) <= 64:
        raise ConfigurationError("The secret of a webhook must be whsec_ and 24 to 64 random bytes in base64")
    digest = hmac.new(key, f"{message_id}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _slack(title: str, lines: str) -> dict[str, Any]:
    """A message of an incoming webhook; what is plain text there is not read as markup, links or mentions."""
    parts = [{"type": "header", "text": {"type": "plain_text", "text": title[:150]}}]
    texts = _WHOLE_LINES.findall(lines)[:MOST_BLOCKS] or ["-"]
    parts += [{"type": "section", "text": {"type": "plain_text", "text": text}} for text in texts]
    return {"text": title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"), "blocks": parts}


def _card(title: str, lines: str) -> dict[str, Any]:
    """An adaptive card, as a Teams workflow takes it; each line is a run of plain text."""
    blocks = [{"type": "TextBlock", "text": title, "weight": "bolder", "wrap": True}]
    runs = [{"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": line}]} for line in lines.split("\n")]
    card = {"type": "AdaptiveCard", "version": "1.4", "body": [*blocks, *runs[:200]]}
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [attachment]}


class _PinnedSMTP(smtplib.SMTP):
    """SMTP to the address that was checked; the certificate must have the name of the host."""

    def __init__(self, host: str, port: int, address: str) -> None:
        self._address = address
        super().__init__(host, port, timeout=MAIL_SECONDS)

    def connect(self, host: str = "", port: int = 0, source_address: Any = None) -> tuple[int, bytes]:
        """Call the address, whatever the name of the host leads to by now."""
        return super().connect(self._address, port, source_address)


def _mail(channel: Mail, settings: Destinations, message: Message, content: Mapping[str, Any]) -> None:
    """Send an e-mail over TLS; without it only to a host that the operator allows by name."""
    _, _, address = checked_address(f"https://{channel.host}:{channel.port}", settings.allow)
    try:
        mail = _written(channel, message, content)
        with _PinnedSMTP(channel.host, channel.port, address) as server:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
            elif channel.host not in settings.allow:
                raise OutboundError(f"{channel.host} speaks no TLS, and `allow` names it not")
            if channel.user:
                server.login(secret_of(channel.user), secret_of(channel.password))
            server.send_message(mail)
    except (smtplib.SMTPException, OSError, ValueError) as error:  # ValueError: what no header or login may hold
        is_silent = isinstance(error, OSError) and not isinstance(error, smtplib.SMTPException)
        kind = NoAnswer if is_silent else OutboundError
        raise kind(f"{channel.host} did not take the e-mail ({type(error).__name__})") from None


def _written(channel: Mail, message: Message, content: Mapping[str, Any]) -> EmailMessage:
    """The e-mail that says it."""
    title, lines = sentences(content)
    mail = EmailMessage()
    mail["From"], mail["Subject"] = channel.sender, " ".join(title.split())
    mail["To"] = channel.owners[message.owner or ""] if message.kind == DIGEST else ", ".join(channel.to)
    mail["Message-ID"] = f"<{message.message_id}@{parseaddr(channel.sender)[1].rpartition('@')[2] or 'vouch'}>"
    mail.set_content(lines)
    return mail
