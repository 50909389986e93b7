"""`import vouch`: the library, as a notebook uses it; the rooms behind it are `vouch.features`, `vouch.models`, ...

>>> import vouch
>>> company = vouch.open("company")                     # doctest: +SKIP
>>> company.check()["warnings"]                         # doctest: +SKIP
>>> panel = company.panel("churn")                      # doctest: +SKIP
>>> for fit, judge in company.splits(panel, "churn"):   # doctest: +SKIP
...     ...
>>> company.metrics(["nps"], by="segment")              # doctest: +SKIP
>>> company.train("churn")[0].text                      # doctest: +SKIP
>>> company.score("churn"), company.explain("churn")    # doctest: +SKIP

What stands in `__all__` is public, and changes only with a release that says so; everything else is free to change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vouch.features.errors import VouchError
    from vouch.serving.library.company import CompanyTables, TrainedModel
    from vouch.serving.library.company import open_company as open  # `vouch.open` is what it is called
    from vouch.serving.library.splitter import EmbargoSplit

__all__ = ["CompanyTables", "EmbargoSplit", "TrainedModel", "VouchError", "open"]


def __getattr__(name: str) -> Any:
    """Public names are imported when they are asked for: `import vouch.features` costs nothing of them."""
    if name == "VouchError":
        from vouch.features.errors import VouchError

        return VouchError
    if name == "EmbargoSplit":
        from vouch.serving.library.splitter import EmbargoSplit

        return EmbargoSplit
    if name in {"CompanyTables", "TrainedModel", "open"}:
        from vouch.serving.library import company

        return getattr(company, "open_company" if name == "open" else name)
    raise AttributeError(f"module 'vouch' has no attribute {name!r}")
