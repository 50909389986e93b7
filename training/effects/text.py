"""Effects in a report: the kinds, whether each is an effect or a response, and the Qini curve in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.features.shown import aligned, markdown_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vouch.models.scoring.effects import Effects

MEANING = (
    "`adds` is how much more often what was wanted came where it was done at random than where it was not, with its "
    "95 % interval over customers; null where too little was at random. Only a kind whose interval lies above 0 is "
    "told as `uplift`; `needed` are treatments at random that are missing until it is 0.05 to each side. The others "
    "are told as `response`: who was chosen would perhaps have done it anyway."
)


def effect_section(effects: Effects | None) -> Iterable[str]:
    """Lines of the model card."""
    if effects is None:
        return
    yield from ("## Effect", MEANING, "", *markdown_table(_rounded(effects)), "")
    if effects.qini:
        yield from (_qini(effects), "")


def effect_lines(effects: Effects | None) -> Iterable[str]:
    """Lines of the report on a terminal."""
    if effects is None:
        return
    yield "  effect, by treatments at random out of time:"
    yield from ("  " + line for line in aligned(_rounded(effects)))
    if effects.qini:
        yield f"  {_qini(effects)}"
    yield ""


def effect_figures(effects: Effects | None) -> Iterable[tuple[str, float]]:
    """What the tracking server keeps."""
    if effects is None or effects.qini is None:
        return
    yield from {"uplift_slope": effects.slope, "qini": effects.qini.area, "qini_low": effects.qini.low}.items()
    yield from {"qini_high": effects.qini.high, "qini_promised": effects.qini.promised}.items()
    yield from ((f"uplift.{of.kind}", of.average) for of in effects.kinds if of.average is not None)


def _rounded(effects: Effects) -> list[dict[str, Any]]:
    return [
        {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}
        for row in effects.rows()
    ]


def _qini(effects: Effects) -> str:
    of = effects.qini
    assert of is not None, "the caller sees to it"
    return (
        f"Qini {of.area:.4f} per customer (95 % interval {of.low:.4f} to {of.high:.4f}; at random 0, the effects that "
        f"it predicts promise {of.promised:.4f}). {effects.slope:.2f} of predicted differences are borne out."
    )
