"""The models page: what asks and offers were shown to do, and the model of lifetime value by figures of its own."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from support.handwritten_weeks import MONDAY, publish
from vouch.features.vectors.numerals import MINUS
from vouch.models.predictor import champion_folder
from vouch.models.registry.champions import note
from vouch.models.scoring.effects import Effects, KindEffect, QiniCurve
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState
from vouch.serving.presentation.translations import LANGUAGES, speech, texts
from vouch.serving.site import open_site

ROOT = Path(__file__).parents[3]
SHOWN = KindEffect("testimonial", 300, 90, 0.0, 0.2, 0.0, 0.2, 0.3, 0.02, 0.251, 0.152, 0.353)
UNTRIED = KindEffect("referral", 44, 0, 0.0, 0.1, 0.0, 0.0, 0.3)
OFFER = KindEffect("offer", 500, 500, 0.0, 1.0, 0.0, 0.0, 0.1, 0.05, 0.012, -0.008, 0.032)
CURVE = QiniCurve(0.011, -0.004, 0.027, 0.015, ((0.0, 0.0, 0.0), (1.0, 0.2, 0.2)))


def page(home, language="en", **week):
    publish(home, **week)
    store = ServingState(home)
    store.refresh()
    site = open_site(MountedApp(), store, is_local=True)
    client = TestClient(Middleware(site, site), base_url="http://127.0.0.1", follow_redirects=False)
    return html.unescape(client.get("/app/models", headers={"accept-language": language}).text), client


def with_effects(**of):
    facts = {"content_hash": "c" * 64, "kind": "logistic", "target": "contract"}
    return {"models": {name: {**facts, "effects": effects.summary()} for name, effects in of.items()}}


def cells(text, row):
    """The cells of the first row of a table that begins with some words."""
    line = next(part for part in re.findall(r"<tr.*?</tr>", text, re.DOTALL) if f'<th scope="row">{row}' in part)
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", line, re.DOTALL)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_an_ask_adds_is_told_by_kind_and_what_is_no_effect_is_called_none(tmp_path, language):
    effects = Effects((SHOWN, UNTRIED), 0.5, {"base": 0.0, "terms": []}, CURVE)
    text, _ = page(tmp_path, language, **with_effects(response=effects))
    t = speech(language)
    known, untried = (cells(text, t(f"act.{of.kind}")) for of in effects.kinds)
    assert known[:2] == ["300", "90"]
    assert known[2:5] == [t.change(of, 1) for of in (25.1, 15.2, 35.3)]
    assert known[5:] == [t("models.effect_shown"), t.number(SHOWN.still_needed)]
    assert untried[2:6] == ["–", "–", "–", t("models.effect_response")]
    assert text.count(t("models.effects_of_asks")) == 1
    area, low, high, promised = (t.number(of, 2) for of in (1.1, -0.4, 2.7, 1.5))
    assert t("models.effect_qini", area=area, low=low, high=high, promised=promised) in text


def test_an_offer_that_is_not_shown_to_keep_anybody_says_so(tmp_path):
    text, _ = page(tmp_path, **with_effects(churn=Effects((OFFER,), 1.0, None, None, is_unwanted=True)))
    t = speech("en")
    assert cells(text, t("models.effect_of_offer"))[2:6] == ["+1.2", f"{MINUS}0.8", "+3.2", "not shown"]
    assert t("models.effects_of_offers") in text


def test_a_model_that_was_tried_by_nothing_tells_of_no_effect(tmp_path):
    text, _ = page(tmp_path)
    assert speech("en")("models.effects") + "</h3>" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_model_of_lifetime_value_stands_beside_the_others_with_its_rule_its_figures_and_its_card(
    tmp_path, language
):
    folder = champion_folder(tmp_path, "value")
    folder.mkdir(parents=True)
    figures = {"model": "value", "rank_correlation": 0.8142, "mean_absolute_error": 358.1, "total": 0.8733}
    known = {
        "figures": [{**figures, "candidate": "contract", "covered": 0.7358}, {**figures, "candidate": "naive"}],
        "why": "by contract, for subscriptions say when a customer leaves", "chosen": "contract", "version": 3,
        "content_hash": "e" * 64, "rules": [],
    }  # fmt: skip
    note(folder, {**known, "action": "pass", "reason": "the gate passed", "at_us": MONDAY})
    note(folder, {**known, "action": "refuse", "reason": "total", "at_us": MONDAY, "content_hash": "f" * 64})
    (folder / "card.md").write_text("# Model card: value\n")
    text, client = page(tmp_path, language)
    t = speech(language)
    section = text.split('<h2 id="value">')[1]
    assert t("models.value") in section
    assert (known["why"] if language == "en" else t("models.why_contract")) in section
    assert "eeeeeeeeeeee" in section
    assert "ffffffffffff" not in section, "what was refused does not serve"
    assert cells(section, "contract") == [t.number(of, 3) for of in (0.8142, 358.1, 0.8733, 0.7358)]
    assert cells(section, "naive")[-1] == "–"
    assert t.date("2026-11-16") in section
    assert client.get("/app/models/value/card").status_code == 200


def test_without_a_model_of_lifetime_value_the_page_says_how_to_get_one(tmp_path):
    text, client = page(tmp_path)
    assert "<code>vouch train value</code>" in text.split('<h2 id="value">')[1]
    assert client.get("/app/models/value/card").status_code == 404


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_each_rule_of_the_gate_asks_and_what_was_measured_is_said_in_the_language(tmp_path, language):
    names = [key.removeprefix("gate_rule.") for key in texts("en") if key.startswith("gate_rule.")]
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "training").rglob("*.py"))
    assert set(re.findall(r'GateRule\(\s*"(\w+)"', source)) == set(names), "every rule has words"
    folder = champion_folder(tmp_path, "churn")
    folder.mkdir(parents=True)
    rules = [{"name": of, "passed": False, "why": f"an English {of}", "value": 0.0384, "limit": 0.0376} for of in names]
    note(folder, {"action": "refuse", "reason": "many", "at_us": MONDAY, "version": 1, "rules": rules})
    text, _ = page(tmp_path, language)
    t = speech(language)
    for name in names:
        assert t(f"gate_rule.{name}") in text
        assert (f"an English {name}" in text) == (language == "en")
    if language != "en":
        assert text.count(t("gate.measured", value=t.number(0.0384, 4), limit=t.number(0.0376, 4))) == len(names)
