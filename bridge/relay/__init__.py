"""One endpoint's two-hop exchange machine. No I/O, no clock, no network's name."""
