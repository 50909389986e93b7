"""The routes under /app: each a view that turns a request into a page.

Views run on threads, so that a page that takes a while does not keep the API waiting.
"""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import anyio.to_thread
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from vouch.features.engines import as_staged
from vouch.features.vectors.sentences import as_sentence
from vouch.serving.api.access import LOGIN, NOTHING, PAGE, caller_of, refused, session_token
from vouch.serving.api.handlers.accounts import get_account
from vouch.serving.api.handlers.asks import record_outcome
from vouch.serving.api.handlers.find import find_customers
from vouch.serving.api.handlers.lists import DREW
from vouch.serving.api.problems import Problem, where
from vouch.serving.api.routes import GuardedRoute
from vouch.serving.api.schemas import MAX_LIST, AccountGet, AskOutcome, CustomersFind
from vouch.serving.api.state import now_us
from vouch.serving.asking.ranking import EXCLUSIONS
from vouch.serving.docs.pages import as_html, documentation
from vouch.serving.presentation.names import metric_name
from vouch.serving.presentation.translations import speech
from vouch.serving.store import keys
from vouch.serving.store.audit import entry
from vouch.serving.web.accounts import account_listing
from vouch.serving.web.customer import profile
from vouch.serving.web.lists import at_risk_listing, candidate_listing, checked
from vouch.serving.web.metrics import chapters, is_match, measured, toggled
from vouch.serving.web.models import card, judged
from vouch.serving.web.named_lists import every_list, named_list
from vouch.serving.web.overview import overview
from vouch.serving.web.past import instant_of_address
from vouch.serving.web.references import DESK_FORMS, reference_page, references_page
from vouch.serving.web.render import (
    FAVOURITES_COOKIE,
    HEADERS,
    YEAR_SECONDS,
    customer_url,
    favourites_of,
    language_of,
    owner_of,
    problem_page,
    render_page,
    static,
)
from vouch.serving.web.session import check_sender, sign_in_response, sign_out_response, target, with_query
from vouch.serving.web.this_week import owners_of, week_page
from vouch.serving.web.work import DONE_COOKIE, FORMS, asks_page, exported, record_asks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from starlette.types import Scope

    from vouch.serving.api.access import AccessGate
    from vouch.serving.api.state import ServingState
    from vouch.serving.store.callers import Caller

    View = Callable[[Request], Response]
    Form = Callable[[Request, Mapping[str, str]], Response]
    Work = Callable[[ServingState, Mapping[str, str], Caller], Response]

MOST_FIELDS = 80
WORK = {**FORMS, **DESK_FORMS}
DONE = (
    "recorded", "outcome", "corrected", "withdrawn", "called", "thanked", "put_right", "overridden", "objected",
    "objects_no_longer", "requested", "closed", "deal",
)  # fmt: skip
"""What a page may say was done, by the name in its address."""
SECTION = {"reference": "references", "account": "accounts", "metric": "metrics", "list": "lists", "card": "models"}
"""The view of the menu that a page without an entry of its own belongs to."""
EXPORTS = {"candidates": "candidates", "at-risk": "customers", "asks": "asks"}
"""Lists that are exported as they are seen, by their place."""
_log = logging.getLogger("vouch.pages")


class Pages:
    """All views, over one store."""

    def __init__(self, store: ServingState, gate: AccessGate) -> None:
        self._store, self._home, self._gate = store, store.home, gate

    def routes(self) -> list[GuardedRoute]:
        """Every route under /app."""
        shown = partial(GuardedRoute, methods=["GET"], is_page=True)
        taken = partial(GuardedRoute, methods=["POST"], is_page=True)
        views: dict[str, View] = {
            "/app": self.week,
            "/app/": self.week,
            "/app/portfolio": self.portfolio,
            "/app/asks": self.asks,
            "/app/references": self.references,
            "/app/reference": self.reference,
            "/app/candidates": self.candidates,
            **{f"/app/{place}/export": partial(self.export, name) for place, name in EXPORTS.items()},
            "/app/at-risk": self.at_risk,
            "/app/customer": self.customer,
            "/app/find": self.find,
            "/app/accounts": self.accounts,
            "/app/account": self.account,
            "/app/metrics": self.metrics,
            "/app/metrics/{metric_id}": self.metric,
            "/app/lists": self.lists,
            "/app/lists/{name}": self.named_list,
            "/app/models": self.models,
            "/app/models/{name}/card": self.card,
            "/app/docs": self.docs,
            "/app/docs/{name}": self.docs,
        }
        return [
            shown("/app/static/{name}", static, needs=NOTHING),
            shown("/app/served", self.served, needs="read"),
            shown(LOGIN, self._shown(self.login), needs=NOTHING),
            taken(LOGIN, self._taken(self.sign_in), needs=NOTHING),
            taken("/app/logout", self._taken(self.sign_out), needs="read"),
            taken("/app/asks/chosen", self._taken(self.record_asks), needs="write"),
            taken("/app/favourites", self._taken(self.mark_metric), needs="read"),
            taken("/app/outcomes", self._taken(self.record_outcome), needs="write"),
            *(taken(path, self._taken(partial(self.work, form)), needs="write") for path, form in WORK.items()),
            *(shown(path, self._shown(view), needs="read") for path, view in views.items()),
        ]

    def _shown(self, view: View) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            try:
                return await anyio.to_thread.run_sync(view, request)
            except Problem as problem:
                return problem_page(request, problem, self._store)
            except Exception as error:
                _log.error("%s", where(error))
                return problem_page(request, Problem("internal"), self._store)

        return endpoint

    def _taken(self, form: Form) -> Callable[[Request], Any]:
        """The same for a form that was sent; only our own page may send one."""

        async def endpoint(request: Request) -> Response:
            try:
                check_sender(request)
                fields = await request.form(max_files=0, max_fields=MOST_FIELDS)
                sent = {name: value for name, value in fields.items() if isinstance(value, str)}
                request.state.chosen = [value for value in fields.getlist("who") if isinstance(value, str)]
                return await anyio.to_thread.run_sync(form, request, sent)
            except Problem as problem:
                return problem_page(request, problem, self._store)

        return endpoint

    def tell(self, scope: Scope, problem: Problem) -> Response:
        """A problem that came up before or behind the views, as a page."""
        return problem_page(Request(scope), problem, self._store)

    def login(self, request: Request) -> Response:
        """The way in; who needs none goes on."""
        if not self._gate.needs_keys:
            return RedirectResponse(PAGE, 303)
        return self._page(request, "login", next=target(request.query_params.get("next")), refused=None)

    def sign_in(self, request: Request, sent: Mapping[str, str]) -> Response:
        """Open a session for a right key; a wrong one is told on the way in."""
        to = target(sent.get("next"))
        try:
            key = self._gate.key_of(sent.get("key", "").strip(), request.client.host if request.client else "nobody")
        except Problem as problem:
            refused = {"unauthorised": "wrong", "too_many_requests": "slow"}.get(problem.code)
            if refused is None:
                raise
            values = {"next": to, "refused": refused}
            answer = render_page(request, "login", values, store=self._store, here="login", status=problem.status)
            answer.headers.update(problem.headers)
            return answer
        return sign_in_response(request, keys.sign_in(self._store.database, key, now_us()), to)

    def sign_out(self, request: Request, _: Mapping[str, str]) -> Response:
        """End the session."""
        token = session_token(dict(request.scope["headers"]))
        if token:
            keys.sign_out(self._store.database, token)
        return sign_out_response()

    def record_asks(self, request: Request, sent: Mapping[str, str]) -> Response:
        """Record an ask for each who was chosen in a list; how many were, and how many must not be, is told there."""
        with self._writing(request) as caller:
            answer = record_asks(self._store, sent, request.state.chosen, caller)
        counts = f"{answer['recorded']}-{answer['refused']}"
        return RedirectResponse(with_query(target(sent.get("back")), chosen=counts), 303)

    def work(self, form: Work, request: Request, sent: Mapping[str, str]) -> Response:
        """Do what a form of the work on customers asks for, and go back; who must not be asked is told there."""
        customer_id = sent.get("customer_id", "")
        try:
            with self._writing(request, customer_id) as caller:
                return form(self._store, sent, caller)
        except Problem as problem:
            if problem.exclusion is None:
                raise
            back = target(sent.get("back") or customer_url(customer_id))
            return RedirectResponse(with_query(back, refused=problem.exclusion), 303)

    def record_outcome(self, request: Request, sent: Mapping[str, str]) -> Response:
        """Record what came of an ask, and go back to the customer."""
        given = {name: sent.get(name, "") for name in ("ask_id", "outcome")}
        with self._writing(request) as caller:
            record_outcome(self._store, checked(AskOutcome, given), caller)
        return RedirectResponse(with_query(target(sent.get("back")), done="outcome"), 303)

    @contextmanager
    def _writing(self, request: Request, customer_id: str | None = None) -> Iterator[Caller]:
        """Give who sends a form that writes, if there is a week to go back to; the audit log tells of refusals."""
        try:
            self._store.require_week()
            yield caller_of(request.scope)
        except Problem as problem:
            refused(self._store, caller_of(request.scope), request.scope["path"], problem, customer_id)
            raise

    async def served(self, _: Request) -> Response:
        """Which week is served, for a page that has been open for a while."""
        week = self._store.portfolio.freshness(now_us()) if self._store.is_ready else None
        return JSONResponse({"served": f"{week['as_of']}/{week['revision']}" if week else None}, headers=HEADERS)

    def _page(self, request: Request, template: str, **values: Any) -> Response:
        state = {name: request.query_params.get(name) for name in ("done", "refused")}
        notice: dict[str, Any] = {"done": state["done"] if state["done"] in DONE else None}
        notice["refused"] = state["refused"] if state["refused"] in EXCLUSIONS else None
        notice["told_of"] = unquote(request.cookies.get(DONE_COOKIE, "")) if notice["done"] else None
        of_chosen = re.fullmatch(r"(\d{1,3})-(\d{1,3})", request.query_params.get("chosen", ""))
        notice["chosen"] = None if of_chosen is None else [int(number) for number in of_chosen.groups()]
        here = SECTION.get(template, template)
        return render_page(request, template, {**notice, **values}, store=self._store, here=here)

    def _note(self, request: Request, action: str, **other: Any) -> None:
        """Tell the audit log who has seen whom."""
        caller = caller_of(request.scope)
        line = entry(
            now_us(), caller.name, action, key_id=caller.key_id, route=request.scope["route"].path, status=200, **other
        )
        self._store.journal.note(line)

    def week(self, request: Request) -> Response:
        """Whom to call, thank and wait for this week."""
        answer = week_page(self._store, self._owner(request), instant_of_address(request))
        self._note(request, "listed", rows=answer.rows)
        return self._page(request, "week", found=answer)

    def _owner(self, request: Request) -> str:
        """Whose customers to show; what a cookie kept of an owner who is none any more does not count."""
        owner = owner_of(request)
        return owner if owner in owners_of(self._store.week_of(instant_of_address(request))) else ""

    def find(self, request: Request) -> Response:
        """Customers found by name, account or id; straight to the one of exactly this id."""
        text = as_staged(request.query_params.get("text", ""))
        as_of = instant_of_address(request)
        if self._store.week_of(as_of).ids.row_of(text) is not None:
            to = with_query(customer_url(text), as_of=as_of) if as_of else customer_url(text)
            return RedirectResponse(to, 303, headers=HEADERS)
        answer = find_customers(self._store, checked(CustomersFind, {"text": text, "as_of": as_of, "limit": MAX_LIST}))
        self._note(request, "listed", rows=len(answer["customers"]))
        return self._page(request, "find", found={"answer": answer})

    def accounts(self, request: Request) -> Response:
        """Accounts by revenue at risk."""
        answer = account_listing(self._store, request.query_params, self._owner(request))
        self._note(request, "listed", rows=len(answer.answer["accounts"]))
        return self._page(request, "accounts", found=answer, as_of=answer.answer["as_of"])

    def account(self, request: Request) -> Response:
        """One account with its people."""
        asked = {"account_id": as_staged(request.query_params.get("id", "")), "as_of": instant_of_address(request)}
        answer = get_account(self._store, checked(AccountGet, asked))
        self._note(request, "listed", rows=len(answer["people"]))
        return self._page(request, "account", found=answer)

    def portfolio(self, request: Request) -> Response:
        """The portfolio at a glance."""
        return self._page(request, "portfolio", found=overview(self._store, instant_of_address(request)))

    def candidates(self, request: Request) -> Response:
        """Candidates to be asked."""
        answer = candidate_listing(self._store, request.query_params, self._owner(request))
        self._note(request, DREW if answer.answer["draw"] else "listed", rows=len(answer.answer["candidates"]))
        return self._page(request, "candidates", found=answer, as_of=answer.answer["as_of"])

    def asks(self, request: Request) -> Response:
        """Asks as a team works them."""
        answer = asks_page(self._store, request.query_params)
        self._note(request, "listed", rows=len(answer["found"]["asks"]))
        return self._page(request, "asks_work", **answer)

    def references(self, request: Request) -> Response:
        """Requests for references, by where they stand."""
        return self._page(request, "references", **references_page(self._store, request.query_params))

    def reference(self, request: Request) -> Response:
        """One request with the advocates who fit it."""
        answer = reference_page(self._store, request.query_params)
        self._note(request, "listed", rows=len(answer["advocates"]))
        return self._page(request, "reference", found=answer)

    def export(self, name: str, request: Request) -> Response:
        """A list as it is seen, as a file."""
        language = language_of(request)
        answer, rows = exported(
            self._store, name, request.query_params, self._owner(request), lambda reason: as_sentence(reason, language)
        )
        self._note(request, "exported", rows=rows)
        return answer

    def at_risk(self, request: Request) -> Response:
        """Customers at risk."""
        answer = at_risk_listing(self._store, request.query_params, self._owner(request))
        self._note(request, "listed", rows=len(answer.answer["customers"]))
        return self._page(request, "at_risk", found=answer, as_of=answer.answer["as_of"])

    def customer(self, request: Request) -> Response:
        """One customer."""
        customer_id = as_staged(request.query_params.get("id", ""))
        if not 1 <= len(customer_id) <= 200 or "\0" in customer_id:
            raise Problem("unknown_customer")
        answer = profile(self._store, customer_id, instant_of_address(request))
        self._note(request, "looked", customer_id=customer_id, rows=1)
        return self._page(request, "customer", found=answer)

    def metrics(self, request: Request) -> Response:
        """All metrics by chapter."""
        text, marked = request.query_params.get("text", "")[:200], favourites_of(request)
        t, as_of = speech(language_of(request)), instant_of_address(request)
        answer = chapters(self._store, lambda name: is_match(text, metric_name(t, name), name), marked, as_of)
        return self._page(request, "metrics", chapters=answer, text=text, favourites=marked)

    def mark_metric(self, request: Request, sent: Mapping[str, str]) -> Response:
        """Mark a metric as a favourite of this browser, or no longer."""
        answer = RedirectResponse(target(sent.get("back")), 303)
        marked = ".".join(toggled(favourites_of(request), sent.get("metric_id", "")))
        answer.set_cookie(
            FAVOURITES_COOKIE, marked, max_age=YEAR_SECONDS, path="/app", samesite="strict", httponly=True
        )
        return answer

    def metric(self, request: Request) -> Response:
        """One metric with its trend, its segments and what it means."""
        by = request.query_params.get("by", "")
        answer = measured(self._store, request.path_params["metric_id"], by, instant_of_address(request))
        return self._page(request, "metric", found=answer)

    def lists(self, request: Request) -> Response:
        """All lists behind the figures."""
        return self._page(request, "lists", lists=every_list(self._store, instant_of_address(request)))

    def named_list(self, request: Request) -> Response:
        """One of them."""
        name, after = request.path_params["name"], request.query_params.get("after", "")
        answer = named_list(self._store, name, after, instant_of_address(request))
        self._note(request, "listed", rows=len(answer.answer["rows"]))
        return self._page(request, "list", found=answer)

    def models(self, request: Request) -> Response:
        """The models, their figures and the gate's history."""
        return self._page(request, "models", found=judged(self._store, self._home))

    def card(self, request: Request) -> Response:
        """The card of one champion."""
        text = card(self._home, request.path_params["name"])
        if text is None:
            raise Problem("unknown_route")
        shown = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
        return self._page(request, "card", card=Markup(shown), name=request.path_params["name"])

    def docs(self, request: Request) -> Response:
        """The documentation: the list of its pages, or one of them."""
        name = request.path_params.get("name")
        if name is None:
            return self._page(request, "docs", page=None, pages=documentation().values())
        shown = as_html(name)
        if shown is None:
            raise Problem("unknown_route")
        return self._page(request, "docs", page=documentation()[name], shown=Markup(shown))
