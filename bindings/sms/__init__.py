"""SMS with External Identifier over T8 (TS 29.122 §4.4.6, §4.4.14): device triggering down, MSISDN-less MO SMS up."""

from bindings.sms.binding import SmsBinding
from bindings.sms.settings import SmsSettings

__all__ = ["SmsBinding", "SmsSettings"]
