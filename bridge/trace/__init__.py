"""Traces of endpoints: a tap on both hops, and a bounded ring for each reader."""
