"""`python -m bridge.cli`: the same as `lwm2m-bridge`."""

from bridge.cli import main

main(prog_name="lwm2m-bridge")
