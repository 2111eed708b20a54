"""For how long a device repeats its message, by its own transmission parameters (RFC 7252 §4.8.2).

A device that doubles its waits sends the last copy MAX_TRANSMIT_SPAN after the first:

    ACK_TIMEOUT × (2 ^ MAX_RETRANSMIT - 1) × ACK_RANDOM_FACTOR

A network takes up to MAX_LATENCY each way. EXCHANGE_LIFETIME is all of that and one ACK_TIMEOUT for the answering side.
A receiver that forgets a message sooner takes a late copy for a new message.
"""

MAX_RETRANSMIT = 4  # RFC 7252 §4.8; OMA Transport App. C.2 says the same of LoRaWAN
ACK_RANDOM_FACTOR = 1.5  # RFC 7252 §4.8
MAX_LATENCY = 100.0  # seconds; RFC 7252 §4.8.2
_WAITS = ((1 << MAX_RETRANSMIT) - 1) * ACK_RANDOM_FACTOR  # of one ACK_TIMEOUT each, from the first copy to the last


def exchange_lifetime(ack_timeout: float) -> float:
    """Return EXCHANGE_LIFETIME, seconds, of devices with this ACK_TIMEOUT: 247 for 2 s, 7250 for 300 s."""
    return ack_timeout * _WAITS + 2 * MAX_LATENCY + ack_timeout


def longest_ack_timeout(exchange_span: float) -> float:
    """Return the largest ACK_TIMEOUT, seconds, whose EXCHANGE_LIFETIME is within `exchange_span`; 0 if none is."""
    return max(exchange_span - 2 * MAX_LATENCY, 0.0) / (_WAITS + 1)


def explanation(exchange_span: float) -> str:
    """Return for people which devices an `exchange_span` is long enough for, with the arithmetic."""
    timeout = longest_ack_timeout(exchange_span)
    if not timeout:
        return (
            f"exchange_span = {exchange_span:g} s is shorter than two latencies of {MAX_LATENCY:g} s: devices' repeats "
            "will be taken for new messages"
        )
    return (
        f"devices' repeats are recognised for exchange_span = {exchange_span:g} s: enough for ACK_TIMEOUT up to "
        f"{timeout:.4g} s with MAX_RETRANSMIT {MAX_RETRANSMIT} (RFC 7252 §4.8.2: {timeout:.4g} × "
        f"{(1 << MAX_RETRANSMIT) - 1} × {ACK_RANDOM_FACTOR:g} + 2 × {MAX_LATENCY:g} + {timeout:.4g})"
    )
