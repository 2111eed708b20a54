"""Ranges of settings. Every number of a configuration is finite, and its type has a minimum and a maximum."""

from typing import Annotated

from msgspec import Meta

YEAR = 366 * 86400  # seconds; a longer time is probably in another unit

Timeout = Annotated[float, Meta(gt=0, le=3600)]  # seconds that one call may last
Span = Annotated[float, Meta(gt=0, le=YEAR)]  # seconds
SpanOrZero = Annotated[float, Meta(ge=0, le=YEAR)]  # seconds; 0 has a special meaning
WholeSpanOrZero = Annotated[int, Meta(ge=0, le=YEAR)]  # the same
AtOnce = Annotated[int, Meta(ge=1, le=10_000)]  # concurrent items
Times = Annotated[int, Meta(ge=0, le=1000)]  # repetitions
Attempts = Annotated[int, Meta(ge=1, le=1000)]
PerSecond = Annotated[float, Meta(ge=0, le=100_000)]
PerEndpoint = Annotated[int, Meta(ge=1, le=100_000)]  # items that are kept for one endpoint
Payload = Annotated[int, Meta(ge=0, le=65535)]  # bytes of one message; 0 has a special meaning
Body = Annotated[int, Meta(ge=1024, le=1 << 26)]  # bytes of one HTTP message
Port = Annotated[int, Meta(ge=1, le=65535)]
PortOrAny = Annotated[int, Meta(ge=0, le=65535)]  # 0: any free one
