"""Simulated firms: how many people an account employs, what it uses the product for, and whose work that is.

They say nothing of what a customer does and are drawn from a stream of their own, so that nothing else moves with them.
"""

from __future__ import annotations

import numpy as np

from vouch.features.simulation.frames import Frame, Numbers, Text

USE_CASES = ("reporting", "automation", "collaboration", "compliance", "customer_service")
PERSONAS = ("executive", "operations", "finance", "it", "marketing")
TYPICAL_SIZES = (0.0, 25.0, 220.0, 2_400.0)
"""Median number of employees by segment; a consumer employs nobody."""
SPREAD = 0.7
"""Standard deviation of the logarithm of a firm's size."""


def firm_columns(segment: Numbers, account: Numbers, random: np.random.Generator) -> Frame:
    """Return size, use case and persona of each customer; `account` is -1 for a consumer, who has none of them."""
    accounts = max(int(account.max(initial=-1)) + 1, 1)
    is_business = account >= 0
    largest = np.zeros(accounts, dtype=np.int64)
    np.maximum.at(largest, account[is_business], segment[is_business])
    employed = np.asarray(TYPICAL_SIZES)[largest] * np.exp(SPREAD * random.standard_normal(accounts))
    sizes = np.maximum(np.rint(employed), 1).astype(np.int64)[account]
    uses = random.integers(0, len(USE_CASES), accounts)[account]
    personas = random.integers(0, len(PERSONAS), len(account))
    return {
        "company_size": np.where(is_business, sizes, -1),
        "use_case": Text(np.where(is_business, uses, -1), USE_CASES),
        "persona": Text(np.where(is_business, personas, -1), PERSONAS),
    }
