"""The life of a message: states, deadlines, attempts, and which message is sent next. No I/O, no clock, no CoAP."""
