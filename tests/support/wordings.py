"""Missing and left-over wordings of each language: `make wordings` lists both.

No test fails for it: who adds a feature need not speak Korean, and it is told in English until somebody words it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from vouch import models
from vouch.features.metrics.catalogue import Metric, load_metrics
from vouch.features.metrics.lists.lists import LISTS
from vouch.features.vectors import words
from vouch.features.vectors.declare import load_families
from vouch.models.value.predictor import NAME as VALUE
from vouch.serving.monitoring.guards import load_guards
from vouch.serving.presentation import meanings, translations


def wanted(language: str) -> set[str]:
    """All that is told in a language, except where English has its words from the definition itself."""
    metrics, features = list(load_metrics().values()), load_families().values()
    page = {*translations.texts("en"), *(f"chapter.{metric.chapter}" for metric in metrics)}
    page |= {f"models.{name}" for name in models.names()}
    found = {f"family {feature.family}" for feature in features}
    if language != "en":
        page |= {f"metric.{metric.id}" for metric in metrics}
        page |= {f"question.{name}" for name in (*models.names(), VALUE)}
        page |= {
            f"{of}.{name}" for name, held in LISTS.items() if held.is_published for of in ("list_name", "list_holds")
        }
        found |= {f"feature {words.meaning(feature.name).key!r}" for feature in features}
        limits = {guard.meaning for guard in load_guards(Path()).values()}
        found |= {f"meaning {key!r}" for key in meanings_of(metrics) | limits}
    return found | {f"text {key}" for key in page}


def meanings_of(metrics: Iterable[Metric]) -> set[str]:
    """What is looked up of the definitions: what each says, its formula, unit, who counts, and why a value is null."""
    texts = {text for of in metrics for text in (of.description, of.formula, of.unit, of.population)}
    made = {line.split(": ", 1)[1] for of in metrics for line in of.null_where}
    return texts | {meanings.key_of(text) for text in made}


def there(language: str) -> set[str]:
    """All that has words in a language."""
    table = words.table()
    return {
        *(f"text {key}" for key in translations.texts(language)),
        *(f"meaning {key!r}" for key in meanings.meanings(language)["meaning"]),
        *(f"family {name}" for name, told in table["families"].items() if language in told),
        *(f"feature {key!r}" for key, told in table["meanings"].items() if language in told),
    }


def listed() -> Iterator[str]:
    """One line per wording that is missing, or of what is not there."""
    for language in translations.LANGUAGES:
        yield from (f"{language}: no words yet for {of}" for of in sorted(wanted(language) - there(language)))
        yield from (f"{language}: words for what is gone: {of}" for of in sorted(there(language) - wanted(language)))


if __name__ == "__main__":
    for line in listed():
        print(f"warning: {line}")
