"""A set-up whose clients repeat a message for longer than the bridge recognises the repeat contradicts itself."""

from mock_network.lwm2m.messages import MAX_LATENCY, Tuning


def fit(tuning: Tuning, exchange_span: float, late: float = 0.0) -> None:
    """Assert that the bridge recognises the last copy of a client's message.

    `late`: seconds by which the clock of a set-up may make each timer of a client late. A copy that comes after
    `exchange_span` is a new message to the bridge, and nobody can tell otherwise (R13).
    """
    last = tuning.max_transmit_span + max(tuning.max_retransmit * late, MAX_LATENCY)
    assert last <= exchange_span, (
        f"a client's last copy comes after {last:g} s, it is recognised for {exchange_span:g} s"
    )
