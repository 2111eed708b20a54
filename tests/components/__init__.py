"""What tests use from outside this repository and Python: programs, and components that are fetched and built.

Nothing is fetched while tests run. `make components`, which `make test` begins with, fetches and builds; a test asks
`why_absent` and skips with that reason.
"""

from tests.components.component import BUILD, Component, why_absent
from tests.components.known import BASE_INSTALL, COMPONENTS, LESHAN, LESHAN_BOOTSTRAP, LORA_PACKET, NODE_SERVER
from tests.components.programs import PROGRAMS, Program, program_is_missing

__all__ = [
    "BASE_INSTALL",
    "BUILD",
    "COMPONENTS",
    "LESHAN",
    "LESHAN_BOOTSTRAP",
    "LORA_PACKET",
    "NODE_SERVER",
    "PROGRAMS",
    "Component",
    "Program",
    "program_is_missing",
    "why_absent",
]
