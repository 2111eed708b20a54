"""The emulated network without I/O, clock and randomness of its own: `now` is wall-clock seconds, passed in.

`scef` puts it together; `cell` is the radio side, the other modules are one T8 service each.
"""

from mock_network.scef.core.refusals import Refusal, RefusedError
from mock_network.scef.core.scef import Scef
from mock_network.scef.core.ue import SettingsError, Ue, UeSettings

__all__ = ["Refusal", "RefusedError", "Scef", "SettingsError", "Ue", "UeSettings"]
