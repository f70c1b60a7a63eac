"""Cost in the FinOps Open Cost and Usage Specification's format (FOCUS), as CSV: a row for each day, integration, model and unit.

The columns are all that FOCUS 1.2 makes mandatory, the two names of providers that 1.3 puts in the place of older ones, and those that
say whose cost it is. https://focus.finops.org/focus-specification/
"""

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mistral_voice.contract.v1alpha1.plan import MICRO_UNITS
from mistral_voice.controlplane.api.parameters import BadRequest
from mistral_voice.controlplane.api.records import About
from mistral_voice.controlplane.ledger.records import EntryKind
from mistral_voice.controlplane.store import schema

MOST_DAYS: Final = 31
MOST_ROWS: Final = 100_000
_DAY_MS: Final = 86_400_000

COLUMNS: Final = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "EffectiveCost",
    "HostProviderName",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceProviderName",
    "ServiceSubcategory",
    "SkuId",
    "SubAccountId",
    "SubAccountName",
    "x_EntryKind",
)
_UNITS: Final = {"audioMs": "Milliseconds", "inputTokens": "Tokens", "outputTokens": "Tokens", "characters": "Characters"}
_ONE_OF_PLATFORM: Final = "Platform"
_MODELS_OF: Final = "Mistral AI"


async def costs(connection: AsyncConnection, about: About, from_day: str, to_day: str) -> str:
    """Return the CSV of the days from `from_day` on and before `to_day`. Raises BadRequest if these are no range, or hold too many rows."""
    first, last = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (from_day, to_day))
    if not timedelta(0) < last - first <= timedelta(days=MOST_DAYS):
        raise BadRequest(f"The parameter to must be a day after from, and at most {MOST_DAYS} days later.")
    table = schema.entries
    day: ColumnElement[int] = (table.c.at // _DAY_MS).label("day")
    by: tuple[ColumnElement[Any], ...] = (
        day,
        *(table.c[name] for name in ("plan", "namespace", "integration", "currency", "kind", "model", "unit")),
    )
    sums = (func.sum(table.c.amount).label("amount"), func.sum(table.c.micro_units).label("micro_units"))
    span = (table.c.at >= int(first.timestamp() * 1000), table.c.at < int(last.timestamp() * 1000))
    # Session time costs nothing by itself; an estimate and its correction do, and have no model.
    charged = (table.c.model != "") | (table.c.kind != EntryKind.USAGE.value)
    query: Select[Any] = select(*by, *sums).where(*about.of(table), *span, charged).group_by(*by).order_by(*by).limit(MOST_ROWS + 1)
    rows = (await connection.execute(query)).all()
    if len(rows) > MOST_ROWS:
        raise BadRequest(f"These days have more than {MOST_ROWS} rows: ask for fewer days, or for one namespace.")
    return _csv(_row(row) for row in rows)


def _csv(rows: Iterable[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(row: Row[Any]) -> dict[str, str]:
    begin = datetime.fromtimestamp(row.day * _DAY_MS / 1000, UTC)
    month = begin.replace(day=1)
    cost = _decimal(int(row.micro_units))
    model, unit = row.model or "session", _UNITS.get(row.unit, "Requests")
    what = f"{row.unit} of {row.model}" if row.model else "session of which no last word was heard"
    return dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), cost) | {
        "BillingAccountId": row.plan,
        "BillingAccountName": row.plan,
        "BillingCurrency": row.currency,
        "BillingPeriodStart": _time(month),
        "BillingPeriodEnd": _time((month + timedelta(days=32)).replace(day=1)),
        "ChargeCategory": "Usage",
        "ChargeClass": "",
        "ChargeDescription": f"{row.kind}: {what}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _time(begin),
        "ChargePeriodEnd": _time(begin + timedelta(days=1)),
        "ConsumedQuantity": str(int(row.amount)),
        "ConsumedUnit": unit,
        "PricingQuantity": str(int(row.amount)),
        "PricingUnit": unit,
        "HostProviderName": _MODELS_OF,
        "InvoiceIssuerName": _ONE_OF_PLATFORM,
        "ProviderName": _ONE_OF_PLATFORM,
        "ServiceProviderName": _ONE_OF_PLATFORM,
        "PublisherName": _MODELS_OF,
        "ResourceId": f"{row.namespace}/{row.integration}",
        "ResourceName": row.integration,
        "ResourceType": "MistralVoiceIntegration",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "Mistral voice",
        "ServiceSubcategory": "Generative AI",
        "SkuId": f"{model}/{row.unit}" if row.unit else model,
        "SubAccountId": row.namespace,
        "SubAccountName": row.namespace,
        "x_EntryKind": row.kind,
    }


def _decimal(micro_units: int) -> str:
    sign, whole = "-" if micro_units < 0 else "", abs(micro_units)
    return f"{sign}{whole // MICRO_UNITS}.{whole % MICRO_UNITS:06}"


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
