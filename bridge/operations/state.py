"""Operations on the bridge itself."""

from bridge.operations.bridge import Bridge
from bridge.operations.operation import Operation
from bridge.operations.types.state import GetMetrics, GetReadiness, GetStatus, MetricsText, Readiness, Status


async def get_status(bridge: Bridge, _asked: GetStatus) -> Status:
    return await bridge.status()


async def get_readiness(bridge: Bridge, _asked: GetReadiness) -> Readiness:
    return bridge.readiness()


async def get_metrics(bridge: Bridge, _asked: GetMetrics) -> MetricsText:
    return MetricsText(text=(await bridge.metrics_text()).decode())


OPERATIONS = (
    Operation(GetStatus, get_status),
    Operation(GetReadiness, get_readiness),
    Operation(GetMetrics, get_metrics),
)
