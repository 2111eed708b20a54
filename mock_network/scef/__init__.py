"""An emulated 3GPP SCEF/NEF: 3gpp-nidd/v1 toward the SCS/AS, UEs with modems on its other side.

The core (`core`, `downlinks`, `cell`, `tables`) has no I/O and no clock; `service` runs it. In a test:

    service = ScefService(Options(ues=({"external_id": "meter-1@example.com"},)))
    await service.start()
    ...
    await service.stop()

As a process: `python -m mock_network.scef --ues ues.toml`. The control API is described in `control`.
"""

from mock_network.scef.command import read_ues, scef, serve
from mock_network.scef.profiles import PROFILES, Profile
from mock_network.scef.service import Options, ScefService

__all__ = ["PROFILES", "Options", "Profile", "ScefService", "read_ues", "scef", "serve"]
