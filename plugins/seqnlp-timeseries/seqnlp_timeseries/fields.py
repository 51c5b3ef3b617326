"""The columns that both tasks read."""

from __future__ import annotations

from seqnlp.types import Field

FIELDS = (
    Field(
        name="value",
        aliases=("value", "values", "y", "target", "sales", "amount", "demand", "price", "close"),
        several=True,
    ),
    Field(
        name="time",
        aliases=("time", "timestamp", "datetime", "date", "ds", "day", "week", "month", "quarter",
                 "year", "period"),
        required=False,
    ),
    Field(
        name="series",
        aliases=("series", "series_id", "unique_id", "item_id", "id", "name", "sensor", "store"),
        required=False,
    ),
    Field(
        name="anomaly",
        aliases=("anomaly", "is_anomaly", "anomalous", "outlier"),
        required=False,
    ),
)  # fmt: skip
