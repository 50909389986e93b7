"""Simulated texts of customers, in English, Korean and Romanian, by sentiment.

Sentences are made of an opening and an ending, in ordinary words, so that a small lexicon reads most but not all of
them; some Romanian ones come without diacritics, as people type them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vouch.features.simulation.frames import Text

if TYPE_CHECKING:
    from vouch.features.simulation.frames import Numbers

_PARTS: tuple[tuple[tuple[tuple[str, ...], tuple[str, ...]], ...], ...] = (
    (
        (
            ("The app is slow and breaks often.", "Terrible support, nobody answers.", "I am disappointed.",
             "Reports are broken again.", "It crashes all the time.", "The new version is awful.",
             "Far too expensive for what it does.", "A frustrating experience.", "The worst tool we have used.",
             "Exports fail and the errors say nothing.", "Hard to use and confusing.", "Billing was a bad surprise."),
            ("", "Still waiting for help.", "We may cancel.", "I would not recommend it.", "Very unhappy.",
             "Please fix this.", "It wastes our time.", "Not what we were promised.", "Bad value."),
        ),
        (
            ("It works.", "We use it every week.", "Does what it says.", "Some parts are fine, some are not.",
             "No strong opinion.", "We have only started.", "It is okay for small teams.", "Average, like the others.",
             "The dashboard changed again.", "We use mostly the reports."),
            ("", "We will see.", "Nothing to add.", "The mobile app is new to us.", "Invoices come by mail.",
             "Good in parts, slow in others.", "Asked by our manager to answer."),
        ),
        (
            ("Great product.", "I love the dashboard.", "Support was quick and helpful.", "Excellent service.",
             "Easy to use and fast.", "Good value for the price.", "It saves us hours, wonderful.",
             "The team is amazing.", "Very happy with the reports.", "Works perfectly for us.",
             "Best tool we have tried.", "Reliable and friendly."),
            ("", "I recommend it to everyone.", "Thank you!", "We will stay.", "Keep going.", "Well done.",
             "My colleagues love it too.", "Worth every cent.", "A pleasure to use."),
        ),
    ),
    (
        (
            ("앱이 너무 느려요.", "고객 지원이 최악이에요.",
             "정말 실망했어요.", "오류가 자주 나요.", "사용하기 불편해요.",
             "가격이 너무 비싸요.", "새 버전은 별로예요.",
             "보고서가 또 고장 났어요.", "답변이 너무 늦어요.", "자꾸 멈춰서 짜증나요.",
             "설정이 복잡하고 어려워요."),
            ("", "해지를 고민 중입니다.", "추천하지 않아요.",
             "빨리 고쳐 주세요.", "불만이 많아요.", "돈이 아까워요.", "시간 낭비예요."),
        ),
        (
            ("그냥 그래요.", "매주 사용하고 있어요.",
             "보통이에요.", "아직 시작한 지 얼마 안 됐어요.", "특별한 의견은 없어요.",
             "기능은 다른 제품과 비슷해요.", "주로 보고서를 봅니다.", "화면이 바뀌었네요."),
            ("", "더 써 보고 말할게요.",
             "좋은 점도 있고 느린 점도 있어요.", "회사에서 쓰라고 해서 씁니다.", "지켜볼게요."),
        ),
        (
            ("정말 좋아요.", "훌륭한 제품이에요.",
             "고객 지원이 친절해요.", "아주 만족합니다.", "사용하기 쉽고 편리해요.",
             "빠르고 안정적이에요.", "최고의 서비스입니다.",
             "대시보드가 마음에 들어요.", "업무 시간이 줄어서 행복해요.",
             "가격 대비 훌륭해요.", "보고서가 완벽해요."),
            ("", "주변에 추천하고 있어요.", "감사합니다!",
             "계속 쓸게요.", "동료들도 좋아해요.", "앞으로도 기대할게요."),
        ),
    ),
    (
        (
            ("Aplicația este foarte lentă.", "Suport groaznic, nu răspunde nimeni.", "Sunt dezamăgit de serviciu.",
             "Sunt dezamagita, rapoartele sunt stricate.", "Programul e lent si se blocheaza des.",
             "Mult prea scump.", "Cea mai proastă experiență.", "Erori la fiecare pas.", "Greu de folosit.",
             "Versiunea nouă este oribilă.", "Factura a fost o surpriză neplăcută."),
            ("", "Mă gândesc să renunț.", "Nu recomand.", "Rezolvați, vă rog.", "Sunt nemulțumit.",
             "Pierdem timp cu el.", "Nu merita banii."),
        ),
        (
            ("Merge.", "Îl folosim în fiecare săptămână.", "Este în regulă.", "Abia am început.",
             "Nu am o părere anume.", "Ca toate celelalte.", "Folosim mai ales rapoartele.",
             "S-a schimbat iar pagina de start."),
            ("", "Mai vedem.",
             "Bun pe alocuri, lent în rest.", "Nimic de adăugat.", "Raspund pentru ca am fost rugat."),
        ),
        (
            ("Un produs excelent.", "Îmi place foarte mult.", "Suport rapid și amabil.", "Foarte bun.",
             "Ușor de folosit.", "Sunt mulțumit de servicii.", "Sunt foarte multumita.", "Raport bun calitate preț.",
             "Cel mai bun program încercat.", "Minunat, ne scutește de ore de muncă.", "Funcționează perfect."),
            ("", "Recomand cu drag.", "Mulțumesc!", "Rămânem clienți.", "Și colegii sunt încântați.", "Felicitări!",
             "Merită toți banii."),
        ),
    ),
)  # fmt: skip


def _written() -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    words: list[str] = []
    start, count = np.zeros((3, 3), dtype=np.int64), np.zeros((3, 3), dtype=np.int64)
    for language, by_sentiment in enumerate(_PARTS):
        for sentiment, (openings, endings) in enumerate(by_sentiment):
            texts = [f"{opening} {ending}".strip() for opening in openings for ending in endings]
            start[language, sentiment], count[language, sentiment] = len(words), len(texts)
            words += texts
    return tuple(words), start, count


WORDS, _START, _COUNT = _written()


def verbatims(random: np.random.Generator, language: Numbers, feeling: Numbers, share: float) -> Text:
    """Texts whose sentiment follows `feeling` (about -2 to 2); only a `share` writes, the others are null.

    One text in twelve does not match, as in life.
    """
    rows = len(feeling)
    felt = feeling + random.normal(0.0, 0.35, rows)
    sentiment = np.where(felt < -0.4, 0, np.where(felt < 0.45, 1, 2))
    sentiment = np.where(random.random(rows) < 1 / 12, 1, sentiment)
    code = _START[language, sentiment] + (random.random(rows) * _COUNT[language, sentiment]).astype(np.int64)
    return Text(np.where(random.random(rows) < share, code, -1), WORDS)
