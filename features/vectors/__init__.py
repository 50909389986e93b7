"""Feature vectors: from definitions of features to one row per customer and instant.

`declare` is what a family needs to define a feature, of `aggregates`; `lines` declares those of a company's own
columns. `build` makes the vectors: from rows (`group_by`, `active_days`, `distinct_values`) or from customer-days that
are kept from run to run (`customer_days`, `customer_day_store`, `windows`), with the same values. `fingerprints` say
which definitions compare. `sentences` tell a reason to people, of `words`, with `numerals` as each language writes
them.
"""
