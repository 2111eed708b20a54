"""Operations on usage and quotas."""

from datetime import UTC, date, datetime

from bridge.errors import RequestError
from bridge.operations.bridge import Bridge
from bridge.operations.endpoints import existing
from bridge.operations.operation import Operation
from bridge.operations.types.quotas import (
    By,
    EstimateTransfer,
    ListQuotas,
    ListUsage,
    QuotaList,
    QuotaVerdict,
    QuotaView,
    TransferEstimate,
    UsagePage,
    UsageView,
)
from bridge.quota.estimate import transfer, verdict
from bridge.quota.limits import Quota
from bridge.quota.periods import date_of, end_of, number_of
from bridge.quota.report import UsageSum
from bridge.quota.usage import Amount


async def list_usage(bridge: Bridge, asked: ListUsage) -> UsagePage:
    today = datetime.fromtimestamp(bridge.now(), UTC).date()
    first = _day(asked.first, today.replace(day=1))
    last = _day(asked.last, today)
    endpoint = None if asked.endpoint is None else (await existing(bridge, asked.endpoint)).id
    rows = await bridge.reads.usage(
        first,
        last,
        by_endpoint=asked.by is By.ENDPOINT,
        endpoint=endpoint,
        network=asked.network,
        after=_after(asked.after),
        limit=asked.limit + 1,
    )
    items = [await _view(bridge, row, asked.by) for row in rows[: asked.limit]]
    more = len(rows) > asked.limit
    at = rows[asked.limit - 1] if more else None
    return UsagePage(items=tuple(items), next=None if at is None else f"{at.day}/{at.endpoint}/{at.network}")


async def list_quotas(bridge: Bridge, asked: ListQuotas) -> QuotaList:
    now = bridge.now()
    if asked.endpoint is None:
        items = [_quota(quota, group, used, now) for quota, group, used in bridge.quotas()]
    else:
        standing = await bridge.quotas_of((await existing(bridge, asked.endpoint)).id)
        items = [_quota(quota, quota.group, used, now) for quota, used in standing.quotas]
    return QuotaList(items=tuple(items))


async def estimate_transfer(bridge: Bridge, asked: EstimateTransfer) -> TransferEstimate:
    standing = await bridge.quotas_of((await existing(bridge, asked.endpoint)).id)
    now = bridge.now()
    found = transfer(asked.content, standing.largest)
    verdicts = []
    for quota, used in standing.quotas:
        one = verdict(found, quota, used)
        verdicts.append(
            QuotaVerdict(
                quota=quota.name,
                needs_messages=one.needs_messages,
                needs_bytes=one.needs_bytes,
                left_messages=one.left_messages,
                left_bytes=one.left_bytes,
                fits=one.fits,
                periods=one.periods,
                ends_at=end_of(quota.period, now),
            )
        )
    return TransferEstimate(
        block=found.block,
        down_messages=found.amount.down_messages,
        down_bytes=found.amount.down_bytes,
        up_messages=found.amount.up_messages,
        up_bytes=found.amount.up_bytes,
        quotas=tuple(verdicts),
    )


def _quota(quota: Quota, group: str, used: Amount | None, now: float) -> QuotaView:
    used_messages, used_bytes = (None, None) if used is None else quota.used(used)
    left_messages, left_bytes = (None, None) if used is None else quota.left(used)
    return QuotaView(
        name=quota.name,
        network=quota.network,
        per=quota.per,
        group=group,
        period=quota.period,
        counts=quota.counts,
        at_limit=quota.at_limit,
        messages=quota.messages,
        bytes=quota.bytes,
        used_messages=used_messages,
        used_bytes=used_bytes,
        left_messages=left_messages,
        left_bytes=left_bytes,
        ends_at=end_of(quota.period, now),
    )


async def _view(bridge: Bridge, row: UsageSum, by: By) -> UsageView:
    record = await bridge.directory.by_id(row.endpoint) if by is By.ENDPOINT else None
    return UsageView(
        date=date_of(row.day).isoformat(),
        network=row.network,
        endpoint="" if record is None else record.name,
        endpoint_id=row.endpoint if by is By.ENDPOINT else None,
        down_messages=row.down_messages,
        down_bytes=row.down_bytes,
        up_messages=row.up_messages,
        up_bytes=row.up_bytes,
    )


def _day(text: str | None, otherwise: date) -> int:
    if text is None:
        return number_of(otherwise)
    try:
        return number_of(date.fromisoformat(text))
    except ValueError as error:
        raise RequestError(f"{text!r} is not a day: {error}") from error


def _after(cursor: str) -> tuple[int, str, int] | None:
    if not cursor:
        return None
    day, _, rest = cursor.partition("/")
    endpoint, found, network = rest.partition("/")
    numbers = (day, endpoint)
    if not found or not all(one.isascii() and one.isdigit() and len(one) < 19 for one in numbers):  # noqa: PLR2004  # 64 bits
        raise RequestError(f"after {cursor[:40]!r} is not `next` of an earlier page")
    return int(day), network, int(endpoint)


OPERATIONS = (
    Operation(ListUsage, list_usage),
    Operation(ListQuotas, list_quotas),
    Operation(EstimateTransfer, estimate_transfer),
)
