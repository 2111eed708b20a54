"""LoRaWAN: CoAP directly in FRMPayload (OMA LwM2M Transport §6.8.4, App. C), through a ChirpStack v4 network server."""

from bindings.lorawan.binding import LorawanBinding
from bindings.lorawan.settings import LorawanSettings

__all__ = ["LorawanBinding", "LorawanSettings"]
