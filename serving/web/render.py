"""Rendering of pages: templates, languages, headers, and problems told as pages.

The policy of content lets a page load our own style and script and nothing else: no inline script, no other host.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from starlette.responses import Response

from vouch.features.charts.html_templates import html_environment
from vouch.features.contract.tables import ACT_KINDS
from vouch.features.vectors.sentences import as_sentence
from vouch.features.vectors.words import family
from vouch.models.quality.readiness import ASKING
from vouch.serving.api.problems import Problem
from vouch.serving.api.state import now_us
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.presentation.meanings import meaning, null_reason
from vouch.serving.presentation.names import (
    catalogue_by_id,
    chapter_name,
    metric_lang,
    metric_name,
    model_name,
)
from vouch.serving.presentation.style import style_sheet
from vouch.serving.presentation.translations import LANGUAGES, Speech, preferred, speech
from vouch.serving.store.callers import EVERYBODY
from vouch.serving.web.card import charts_of, table_of
from vouch.serving.web.list_charts import list_chart
from vouch.serving.web.past import holding, instant_of_address, newest_url, week_shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    import jinja2
    from starlette.requests import Request

    from vouch.serving.api.state import ServingState
    from vouch.serving.api.week import ServedWeek
    from vouch.serving.store.callers import Caller

TEMPLATES = Path(__file__).with_name("templates")
STATIC = Path(__file__).with_name("static")
ASSETS = {"style.css": "text/css", "page.js": "text/javascript", "mark.svg": "image/svg+xml"}
VIEWS = {
    "week": "/app",
    "candidates": "/app/candidates",
    "at_risk": "/app/at-risk",
    "asks_work": "/app/asks",
    "references": "/app/references",
    "accounts": "/app/accounts",
    "portfolio": "/app/portfolio",
    "metrics": "/app/metrics",
    "lists": "/app/lists",
    "models": "/app/models",
}
LANGUAGE, LANGUAGE_COOKIE, OWNER_COOKIE = "lang", "vouch_language", "vouch_owner"
FAVOURITES_COOKIE = "vouch_favourites"
FILTERED_BY_LANGUAGE = frozenset(f"/app/{name}{more}" for name in ("candidates", "at-risk") for more in ("", "/export"))
YEAR_SECONDS = 365 * 86_400
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
    "vary": "Cookie, Accept-Language",
}
WORDED = {
    "week_gone",
    "unknown_week",
    "unknown_customer",
    "unknown_reference",
    "unknown_route",
    "no_snapshot",
    "unavailable",
    "internal",
    "unauthorised",
    "forbidden",
}
"""Problems that have a text of their own; all others read as `invalid_value`."""
ALIKE = {
    "unknown_ask": "unknown_customer",
    "unknown_account": "unknown_customer",
    "store_unavailable": "unavailable",
    "keys_unknown": "unavailable",
    "method_not_allowed": "unknown_route",
    "too_many_requests": "unavailable",
    "busy": "unavailable",
}
_log = logging.getLogger("vouch.pages")


@cache
def templates() -> jinja2.Environment:
    """The templates of the page."""
    environment = html_environment(TEMPLATES)
    environment.filters.update(
        customer_url=customer_url,
        account_url=account_url,
        words=_words,
        family=_family,
        plain=_plain,
        signed=_signed,
        supported=_supported,
    )
    environment.globals.update(
        asset=asset,
        ask_id=_ask_id,
        kinds=ACT_KINDS,
        usually_public=[name for name, kind in load_policy().kinds.items() if kind.public],
        languages=LANGUAGES,
        views=VIEWS,
        metric_name=metric_name,
        metric_lang=metric_lang,
        meaning=meaning,
        null_reason=null_reason,
        model_name=model_name,
        chapter_name=chapter_name,
        charts_of=charts_of,
        list_chart=list_chart,
        table_of=table_of,
    )
    return environment


def customer_url(customer_id: str) -> str:
    """Return the address of a customer's page; in the query, for a name of any letters would not stand in a path."""
    return f"/app/customer?{urlencode({'id': customer_id})}"


def account_url(account_id: str) -> str:
    """Return the address of an account's page."""
    return f"/app/account?{urlencode({'id': account_id})}"


def _words(entry: Mapping[str, Any], t: Speech) -> str:
    return as_sentence(entry, t.language)


def _plain(name: str) -> str:
    """A value of the company as people write it: `mid_market` as `mid market`."""
    return name.replace("_", " ")


def _supported(output: Mapping[str, Any], t: Speech) -> str | None:
    """Why the data support an output or not, in words; None where the week has it in English alone."""
    code = output.get("code")
    if not code or f"readiness.why_{code}" not in t.texts:
        return None
    figures = output.get("figures") or {}
    shown = {name: t.number(value) if isinstance(value, int) else value for name, value in figures.items()}
    return t(f"readiness.why_{code}", **shown)


def _signed(name: str | None, t: Speech) -> str | None:
    """By whom something was recorded: the name of a key or of a person; a page without keys has words of its own."""
    return t("page.everybody") if name == EVERYBODY.name else name


def _family(name: str, t: Speech) -> str:
    return family(name, t.language)


def _ask_id() -> str:
    """A name for an ask, given with the form, so that sending the form twice records one ask."""
    return f"app-{uuid.uuid4().hex}"


def asset(name: str) -> str:
    """Return the address of a file of ours, which changes when the file does, so that browsers may keep it."""
    return f"/app/static/{quote(name)}?v={_version(name)}"


@cache
def _version(name: str) -> str:
    return hashlib.sha256(asset_content(name)).hexdigest()[:12]


@cache
def asset_content(name: str) -> bytes:
    """The content of one of ASSETS."""
    return style_sheet().encode() if name == "style.css" else (STATIC / name).read_bytes()


def _language_parameter(request: Request) -> str:
    """What an address chooses the language by: on a list `language` is a filter already."""
    return LANGUAGE if request.url.path in FILTERED_BY_LANGUAGE else "language"


def _chosen_language(request: Request) -> str | None:
    """The language that an address chooses."""
    return request.query_params.get(_language_parameter(request))


def language_of(request: Request) -> str:
    """Return the language to speak: as asked for in the address, as chosen before, or as the browser wants."""
    for chosen in (_chosen_language(request), request.cookies.get(LANGUAGE_COOKIE)):
        if chosen in LANGUAGES:
            return str(chosen)
    return preferred(request.headers.get("accept-language", ""))


def owner_of(request: Request) -> str:
    """Return whose customers to show: as asked for in the address, or as chosen before; empty for everybody's."""
    asked = request.query_params.get("owner")
    return unquote(request.cookies.get(OWNER_COOKIE, "")) if asked is None else asked


def favourites_of(request: Request) -> list[str]:
    """Return the metrics that were marked in this browser."""
    return [name for name in request.cookies.get(FAVOURITES_COOKIE, "").split(".") if name in catalogue_by_id()]


def render_page(
    request: Request,
    template: str,
    values: Mapping[str, Any],
    *,
    store: ServingState,
    status: int = 200,
    here: str = "",
) -> Response:
    """Return a template as an answer, with what every page shows."""
    language = language_of(request)
    caller: Caller | None = getattr(request.state, "caller", None)
    week = week_shown(request, store, values.get("as_of")) if caller else None
    is_past = week is not None and week is not store.portfolio
    text = (
        templates()
        .get_template(f"{template}.html.jinja")
        .render(
            t=speech(language),
            here=here,
            here_url=_url(request),
            language_url=lambda code: _url(request, **{_language_parameter(request): code}),
            fresh=_freshness(store) if caller else None,
            about=week.freshness(now_us()) if week else None,
            is_past=is_past,
            newest_url=newest_url(request),
            readiness=_readiness(week),
            caller=caller,
            is_open=caller is not None and caller.key_id is None,
            may_write=caller is not None and caller.may("write") and not is_past,
            **values,
        )
    )
    if week is not None and (is_past or (instant_of_address(request) and status < 400)):
        text = holding(text, str(week.week.manifest["as_of"]))
    answer = Response(text, status, {**HEADERS, "content-language": language}, media_type="text/html")
    if "owner" in request.query_params:
        chosen = quote(request.query_params["owner"])
        answer.set_cookie(OWNER_COOKIE, chosen, max_age=YEAR_SECONDS, path="/app", samesite="strict", httponly=True)
    if _chosen_language(request) in LANGUAGES:
        answer.set_cookie(
            LANGUAGE_COOKIE, language, max_age=YEAR_SECONDS, path="/app", samesite="strict", httponly=True
        )
    return answer


def _freshness(store: ServingState) -> dict[str, Any] | None:
    return store.portfolio.freshness(now_us()) if store.is_ready else None


def _readiness(week: ServedWeek | None) -> dict[str, dict[str, Any]]:
    """By model, and `asking`, whether the data of the week that is shown support it; empty where it does not tell."""
    outputs = week.week.manifest.get("readiness") if week else None
    return {"asking" if one["output"] == ASKING else one["output"]: one for one in outputs or ()}


def _url(request: Request, **changed: str) -> str:
    """The address of this page with other parameters; what was typed there stays quoted."""
    if request.method != "GET":
        return f"/app?{urlencode(changed)}" if changed else "/app"
    held = {**dict(parse_qsl(request.url.query)), **changed}
    return f"{quote(request.url.path)}?{urlencode(held)}" if held else quote(request.url.path)


def problem_page(request: Request, problem: Problem, store: ServingState) -> Response:
    """Return a problem as a page."""
    request.state.problem = problem.code
    code = ALIKE.get(problem.code, problem.code)
    code = code if code in WORDED else "invalid_value"
    answer = render_page(
        request, "problem", {"code": code, "status": problem.status}, store=store, status=problem.status
    )
    answer.headers.update(problem.headers)
    return answer


async def static(request: Request) -> Response:
    """A file of ours, which browsers may keep for as long as its address stays."""
    name = request.path_params["name"]
    if name not in ASSETS:
        raise Problem("unknown_route")
    headers = {**HEADERS, "cache-control": f"public, max-age={YEAR_SECONDS}, immutable", "vary": "Accept-Encoding"}
    return Response(asset_content(name), headers=headers, media_type=ASSETS[name])
