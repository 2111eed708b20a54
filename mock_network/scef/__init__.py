"""An emulated 3GPP SCEF/NEF: the T8 APIs toward the SCS/AS, UEs with modems on its other side.

`core` has no I/O and no clock, `service` runs it, `t8` has the APIs, `control` the control API. In a test:

    service = ScefService(Options(ues=({"external_id": "meter-1@example.com"},)))
    await service.start()
    ...
    await service.stop()

As a process: `python -m mock_network.scef --ue meter-1@example.com`.
"""

from mock_network.scef.core.profile import Profile
from mock_network.scef.options import Options
from mock_network.scef.profiles import PROFILES
from mock_network.scef.service import ScefService

__all__ = ["PROFILES", "Options", "Profile", "ScefService"]
