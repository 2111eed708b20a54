"""`python -m tests.cli.as_user USER ARGUMENTS`: `lwm2m-bridge ARGUMENTS` as another user, given by number."""

import grp  # noqa: F401  # not used here: the bridge imports it and pwd when it needs them
import importlib
import os
import pkgutil
import pwd  # noqa: F401
import sys

import bridge.cli
import bridge.config.reading
import bridge.control.client
import bridge.service.at_rest
import bridge.store.sqlite.schema

# The interpreter may be out of that user's reach: whatever is imported is imported before.
if __name__ == "__main__":
    for module in pkgutil.iter_modules(bridge.cli.__path__, "bridge.cli."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = bridge.config.reading.entry_points(group=bridge.config.reading.BINDINGS)
    bridge.config.reading.entry_points = lambda group: found
    for point in found:
        point.load()
    bridge.store.sqlite.schema.migrations()
    user = int(sys.argv.pop(1))
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    bridge.cli.main(prog_name="lwm2m-bridge")
