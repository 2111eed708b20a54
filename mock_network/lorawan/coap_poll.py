"""An Empty CoAP message as a poll for downlinks (OMA LwM2M Transport, Appendix C; RFC 7252 §4.1)."""

EMPTY_CON = 0x40
EMPTY_NON = 0x50
EMPTY_ANSWERS = (0x60, 0x70)  # ACK and RST without token


class CoapPoll:
    """Makes the polls of one device, and recognises their answers, which are not for the LwM2M client."""

    def __init__(self, message_id: int, *, confirmable: bool) -> None:
        self._message_id = message_id
        self._first = EMPTY_CON if confirmable else EMPTY_NON
        self._sent = False

    def message(self) -> bytes:
        """Return the next poll, four bytes."""
        self._message_id = (self._message_id + 1) & 0xFFFF
        self._sent = True
        return bytes((self._first, 0)) + self._message_id.to_bytes(2, "big")

    def is_answer(self, payload: bytes) -> bool:
        """Return whether a downlink is the Empty ACK or RST to the last poll."""
        return (
            self._sent
            and len(payload) == 4  # noqa: PLR2004  (an Empty message)
            and payload[0] in EMPTY_ANSWERS
            and payload[1] == 0
            and int.from_bytes(payload[2:], "big") == self._message_id
        )
