"""Over-the-air activation of a device (TS001 §6.2): nonces, Join-Request, Join-Accept."""

import random

from mock_network.lorawan import crypto, frames
from mock_network.lorawan.device_config import DeviceConfig, Otaa
from mock_network.lorawan.frames import FrameError, JoinRequest
from mock_network.lorawan.memory import DeviceMemory
from mock_network.lorawan.regions import unpack_cf_list, unpack_cf_list_mask
from mock_network.lorawan.session import RadioSettings, Session

JOIN_ACCEPT_DELAY1 = 5.0  # seconds
DEV_NONCES = 1 << 16


class Joining:
    """One join procedure: requests at falling data rates until one is answered. The first is due at once."""

    def __init__(self, config: DeviceConfig, otaa: Otaa, memory: DeviceMemory, rng: random.Random) -> None:
        self._config = config
        self._otaa = otaa
        self._memory = memory
        self._rng = rng
        self._request: JoinRequest | None = None
        self.data_rate = config.first_data_rate() if config.region.dynamic else config.region.join_data_rate
        self.next_at = 0.0
        self.accept_delay = JOIN_ACCEPT_DELAY1
        self.attempts = 0

    @property
    def _root_key(self) -> bytes:
        """Return the key of requests and accepts: NwkKey in 1.1, AppKey in 1.0.x."""
        return self._otaa.nwk_key or self._otaa.app_key

    def request(self, now: float) -> tuple[JoinRequest, bytes]:
        """Return a fresh Join-Request. A DevNonce is never used twice: a network refuses it (TS001 §6.2.2)."""
        self.attempts += 1
        self.next_at = now
        self._request = JoinRequest(self._otaa.join_eui, self._config.eui, self._dev_nonce())
        return self._request, frames.seal_join_request(self._request, self._root_key)

    def _dev_nonce(self) -> int:
        memory = self._memory
        if self._config.counts_nonces:
            memory.next_dev_nonce = (memory.next_dev_nonce + 1) % DEV_NONCES
            return memory.next_dev_nonce
        nonce = self._rng.randrange(DEV_NONCES)
        while nonce in memory.used_dev_nonces and len(memory.used_dev_nonces) < DEV_NONCES:
            nonce = (nonce + 1) % DEV_NONCES
        memory.used_dev_nonces.add(nonce)
        return nonce

    def failed(self, now: float) -> None:
        """Try again later, one data rate down, after the last from the top: there was no answer in either window."""
        self.next_at = now + self._config.join_retry * self._rng.uniform(1, 1.5)
        if self._config.region.dynamic:
            self.data_rate = self.data_rate - 1 if self.data_rate else self._config.first_data_rate()

    def accept(self, phy_payload: bytes, settings: RadioSettings) -> Session:
        """Derive the session of a Join-Accept and change the radio settings as it says.

        Raises FrameError: wrong MIC (a Join-Accept for another device looks like that), or an old JoinNonce.
        """
        if self._request is None:
            raise FrameError("a Join-Accept without request")
        accept = frames.open_join_accept(phy_payload, self._request, self._root_key)
        if self._config.counts_nonces:
            if accept.join_nonce <= self._memory.last_join_nonce:
                raise FrameError(f"JoinNonce {accept.join_nonce} is not above {self._memory.last_join_nonce}")
            self._memory.last_join_nonce = accept.join_nonce
        settings.rx1_offset = accept.rx1_dr_offset
        settings.rx2_data_rate = accept.rx2_data_rate
        settings.rx1_delay = max(accept.rx_delay, 1)
        frequencies = unpack_cf_list(accept.cf_list)
        if frequencies and settings.region.dynamic:
            settings.apply_cf_list(frequencies)
        mask = unpack_cf_list_mask(accept.cf_list)
        if mask and not settings.region.dynamic:
            settings.enabled = mask
        request = self._request
        if accept.opt_neg:
            keys = crypto.session_keys_1_1(
                self._root_key,
                self._otaa.app_key,
                join_nonce=accept.join_nonce,
                join_eui=request.join_eui,
                dev_nonce=request.dev_nonce,
            )
        else:
            keys = crypto.session_keys_1_0(
                self._root_key, join_nonce=accept.join_nonce, net_id=accept.net_id, dev_nonce=request.dev_nonce
            )
        return Session(accept.dev_addr, keys, v1_1=accept.opt_neg)
