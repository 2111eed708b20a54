"""3GPP Non-IP Data Delivery over T8: client, notification listener, configurations, models."""

from bindings.nidd.binding import NiddBinding
from bindings.nidd.settings import NiddSettings

__all__ = ["NiddBinding", "NiddSettings"]
