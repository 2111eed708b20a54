"""Lets network instances show their calls while somebody traces an endpoint."""

from collections.abc import Mapping
from functools import partial

from bindings.contract import Binding, ShowsCalls
from bridge.trace.traces import Tap


class CallTaps:
    """A `bridge.trace.traces.Tapped`: its tap is that of all network instances."""

    def __init__(self, networks: Mapping[str, Binding]) -> None:
        self._networks = networks
        self._tap: Tap | None = None

    @property
    def tap(self) -> Tap | None:
        """Return whoever sees the calls; None: nobody."""
        return self._tap

    @tap.setter
    def tap(self, tap: Tap | None) -> None:
        self._tap = tap
        for name, binding in self._networks.items():
            if isinstance(binding, ShowsCalls):
                binding.calls_seen = None if tap is None else partial(tap.call, name)
