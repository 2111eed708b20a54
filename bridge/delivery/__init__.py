"""The life of a message: states, deadlines, attempts, and what may go next. No I/O, no clock, no CoAP."""
