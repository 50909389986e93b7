"""The value model's bundle: numbers as text, verified before they are used, for serving and for MLflow alike.

`value.json` holds `ValueNumbers`, `model.txt` the boosted trees where they were chosen, `golden.json` made-up customers
with the values that they must get.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field, ValidationInfo

from vouch.features.documents import Count, Document, Number
from vouch.features.errors import BundleError
from vouch.features.metrics.context import DISCOUNT
from vouch.models.scoring.bundle import as_bytes, read_files, write_files
from vouch.models.scoring.documents import VALUE_KIND, read_bundle_document
from vouch.models.scoring.trees import Trees
from vouch.models.value.boosted import COLUMNS, matrix, spending
from vouch.models.value.contracts import Flow, LifeTable
from vouch.models.value.histories import GONE, NEVER, RUNNING, CustomerHistories, Stays
from vouch.models.value.repeat_purchases import RepeatPurchases
from vouch.models.value.spend import Spend
from vouch.models.value.valuation import HORIZON_DAYS, ValueNumbers, Values, valued, with_revenue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from vouch.models.value.repeat_purchases import Numbers

NAME = "value"
FRAME = {
    "revenue": float, "margin": float, "recent_revenue": float, "payments": float, "paid": float, "first_days": float,
    "last_days": float, "state": str, "mrr": float, "is_annual": float, "renewal_days": float, "tenure_days": float,
}  # fmt: skip
"""What a table of customers must have for MLflow's door: as `CustomerHistories` has it, with the days of a stay."""
TOLERANCE = 1e-6
GROWTH = (1.0, 3.0)
"""How much more than in the days that trees learned of may be expected, per time the horizon is as long."""


def _spread(table: list[list[float]], info: ValidationInfo) -> list[list[float]]:
    """How far numbers are known: empty, or a row and a column for each, alike both ways, and of no spread below 0."""
    size = sum(isinstance(value, float) for value in info.data.values())
    if not table:
        return table
    if len(table) != size or any(len(row) != size for row in table):
        raise ValueError(f"{size} rows of {size} numbers are needed")
    spread = np.array(table)
    if not np.allclose(spread, spread.T, 1e-6, 1e-12) or np.linalg.eigvalsh(spread)[0] < -1e-9 * np.abs(spread).max():
        raise ValueError("it is no covariance")
    return table


_OfLogarithms = Annotated[Number, Field(ge=-1e6, le=1e6)]
_Covariance = Annotated[list[list[_OfLogarithms]], AfterValidator(_spread)]


class _Repeat(Document):
    r: Annotated[Number, Field(gt=0)]
    alpha: Annotated[Number, Field(gt=0)]
    a: Annotated[Number, Field(gt=0)]
    b: Annotated[Number, Field(gt=0)]
    is_modified: bool
    covariance: _Covariance


class _Spend(Document):
    p: Annotated[Number, Field(gt=0)]
    q: Annotated[Number, Field(gt=0)]
    gamma: Annotated[Number, Field(gt=0)]
    covariance: _Covariance


class _Flow(Document):
    share: Number
    beside: Number
    ratios: Annotated[list[Number], Field(min_length=1)]


class _Table(Document):
    monthly: Annotated[list[Annotated[Number, Field(gt=0)]], Field(min_length=4, max_length=4)]
    annual: Annotated[list[Annotated[Number, Field(gt=0)]], Field(min_length=4, max_length=4)]
    returns: Annotated[Number, Field(ge=0)]
    ends: Count


class ValueDocument(Document):
    """`value.json`: the numbers, and the days that the trees beside them learned of."""

    net: Annotated[Number, Field(ge=0)]
    margin: Number | None
    flows_revenue: Annotated[list[_Flow], Field(min_length=2, max_length=2)] | None
    flows_margin: Annotated[list[_Flow], Field(min_length=2, max_length=2)] | None
    table: _Table | None
    purchases: _Repeat | None
    spend: _Spend | None
    boosted_days: Annotated[Number, Field(gt=0)] | None

    def numbers(self) -> ValueNumbers:
        """The numbers as the valuation reads them."""
        return ValueNumbers(
            self.net, self.margin, _flows(self.flows_revenue), _flows(self.flows_margin),
            LifeTable(tuple(self.table.monthly), tuple(self.table.annual), self.table.returns, self.table.ends)
            if self.table else None,
            RepeatPurchases(**{**self.purchases.model_dump(), "covariance": _rows(self.purchases.covariance)})
            if self.purchases else None,
            Spend(**{**self.spend.model_dump(), "covariance": _rows(self.spend.covariance)}) if self.spend else None,
        )  # fmt: skip


def _flows(flows: Sequence[_Flow] | None) -> tuple[Flow, Flow] | None:
    if flows is None:
        return None
    monthly, yearly = (Flow(of.share, of.beside, tuple(of.ratios)) for of in flows)
    return monthly, yearly


def _rows(table: list[list[float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in table)


@dataclass(frozen=True)
class ValuePredictor:
    """A value model that is ready to use; made by `ValuePredictor.load` or `write_value_bundle`."""

    manifest: Mapping[str, Any]
    content_hash: str
    numbers: ValueNumbers
    boosted: Trees | None = None
    boosted_days: float | None = None

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self.manifest["model"])

    @property
    def kind(self) -> str:
        """What its bundle holds."""
        return str(self.manifest["kind"])

    @property
    def target(self) -> str:
        """How the company's customers are valued: by `contract` or by `purchases`."""
        return str(self.manifest["target"])

    @property
    def frame(self) -> Mapping[str, type]:
        """Columns that MLflow's door reads, and their types."""
        return FRAME

    @staticmethod
    def load(folder: Path, verify: bool = True) -> ValuePredictor:
        """Read a bundle; its hashes, its form, and its golden customers must hold. Raises BundleError."""
        folder = Path(folder).resolve()
        manifest, files, content_hash = read_files(folder, verify)
        predictor = _assembled(manifest, files, content_hash)
        if verify:
            _check_golden(folder, predictor, files["golden.json"])
        return predictor

    def values(
        self,
        of: CustomerHistories,
        within: Sequence[tuple[int, Numbers]] = (),
        days: float = HORIZON_DAYS,
        discount: float = DISCOUNT,
    ) -> Values:
        """Value customers; `within` is what the churn model says of them, as `valuation.valued` reads it."""
        values = valued(of, self.numbers, within, days, discount)
        if self.boosted is None or self.boosted_days is None or self.numbers.purchases is None:
            return values
        rows = np.flatnonzero(values.way == "purchases")
        orders = of.orders.take(rows)
        soon = np.maximum(self.numbers.purchases.expected(orders, self.boosted_days), 1e-9)
        longer = days / self.boosted_days
        low, high = min(1.0, longer), max(GROWTH[0], longer)
        growth = np.clip(self.numbers.purchases.expected(orders, days) / soon, low, high)
        worth = (1 + discount) ** -(days / 2 / 365)
        return with_revenue(values, rows, spending(self.boosted, matrix(of, rows)) * growth * worth)


def _assembled(manifest: Mapping[str, Any], files: Mapping[str, bytes], content_hash: str) -> ValuePredictor:
    if manifest["kind"] != VALUE_KIND:
        raise BundleError(f"The bundle of model {manifest['model']!r} is no value model. Train {NAME!r} again.")
    document, _ = read_bundle_document(ValueDocument, "value.json", files["value.json"])
    trees = Trees(files["model.txt"].decode(), len(COLUMNS)) if "model.txt" in files else None
    return ValuePredictor(manifest, content_hash, document.numbers(), trees, document.boosted_days)


def write_value_bundle(
    folder: Path, numbers: ValueNumbers, boosted: str | None, boosted_days: float | None, facts: Mapping[str, Any]
) -> ValuePredictor:
    """Write a fitted value model as a bundle and return it, ready to use."""
    manifest = {**facts, "model": NAME, "target": numbers.way, "kind": VALUE_KIND}
    document = {**asdict(numbers), "boosted_days": boosted_days if boosted else None}
    files = {"value.json": as_bytes(document)}
    if boosted:
        files["model.txt"] = boosted.encode()
    predictor = _assembled(manifest, files, "")
    files["golden.json"] = as_bytes(_golden(predictor))
    return replace(predictor, content_hash=write_files(folder, manifest, files))


def made_up() -> pd.DataFrame:
    """Customers that nobody is: some subscribe, some did, some bought once or more often."""
    import pandas as pd

    size = 12
    step = np.arange(size, dtype=float)
    state = np.array([RUNNING, GONE, NEVER] * 4)
    payments = 1 + step % 5
    return pd.DataFrame({
        "revenue": 40.0 * payments, "margin": 20.0 * payments, "recent_revenue": 30.0 * payments,
        "payments": payments, "paid": 41.0 * payments, "first_days": 60.0 + 40 * step,
        "last_days": np.where(payments > 1, 10.0 + 3 * step, 60.0 + 40 * step), "state": state,
        "mrr": np.where(state == NEVER, 0.0, 20.0 + 10 * step),
        "is_annual": np.where((state != NEVER) & (step % 2 == 0), 1.0, 0.0),
        "renewal_days": np.where((state == RUNNING) & (step % 2 == 0), 30.0 * step, np.nan),
        "tenure_days": np.where(state == NEVER, np.nan, 50.0 + 30 * step),
    })  # fmt: skip


def histories_of(frame: pd.DataFrame) -> CustomerHistories:
    """Customers of a table with the columns of `FRAME` as histories."""
    column = {name: frame[name].to_numpy(np.float64) for name, kind in FRAME.items() if kind is float}
    state, size = frame["state"].to_numpy(object), len(frame)
    subscribed = np.flatnonzero(state != NEVER)
    runs = state[subscribed] == RUNNING
    start = -np.nan_to_num(column["tenure_days"][subscribed]) - np.where(runs, 0.0, 30.0)
    stays = Stays(subscribed, start, np.where(runs, np.inf, -30.0))
    return CustomerHistories(
        np.arange(size).astype(str).astype(object), column["revenue"], column["margin"], column["recent_revenue"],
        np.full(size, np.nan), 365.0, column["payments"], column["paid"], column["first_days"], column["last_days"],
        state, column["mrr"], column["is_annual"] > 0, column["renewal_days"], column["mrr"], stays,
    )  # fmt: skip


def _golden(predictor: ValuePredictor) -> dict[str, list[float | None]]:
    of = predictor.values(histories_of(made_up()))
    return {
        name: [None if np.isnan(value) else float(f"{value:.12g}") for value in getattr(of, name)]
        for name in ("revenue", "margin", "low", "high")
    }


class _Golden(Document):
    revenue: list[Number | None]
    margin: list[Number | None]
    low: list[Number | None]
    high: list[Number | None]


def _check_golden(folder: Path, predictor: ValuePredictor, content: bytes) -> None:
    golden, _ = read_bundle_document(_Golden, f"The golden customers of {folder}", content)
    try:
        with np.errstate(all="ignore"):
            now = _golden(predictor)
    except (ValueError, ArithmeticError) as error:  # numbers that no draw can be made of
        raise BundleError(f"The value bundle {folder} values no customer. Train it.") from error
    for name, values in golden.model_dump().items():
        pair = [np.array([np.nan if value is None else value for value in of]) for of in (values, now[name])]
        is_as_long = len(pair[0]) == len(pair[1])
        if not is_as_long or not np.allclose(pair[0], pair[1], TOLERANCE, TOLERANCE, equal_nan=True):
            raise BundleError(f"The value bundle {folder} does not reproduce its golden customers ({name}). Train it.")


class _Pyfunc:
    """What MLflow calls: a table of customers in, their values out."""

    def __init__(self, predictor: ValuePredictor) -> None:
        self._predictor = predictor

    def predict(self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Value customers; `params` is MLflow's and not used."""
        import pandas as pd

        of = self._predictor.values(histories_of(model_input))
        parts = {name: getattr(of, name) for name in ("revenue", "margin", "low", "high")}
        return pd.DataFrame(parts, index=model_input.index)


def _load_pyfunc(path: str) -> _Pyfunc:
    """Entry point by name for MLflow's pyfunc flavour (`loader_module = "vouch.models.value.predictor"`)."""
    return _Pyfunc(ValuePredictor.load(Path(path)))
