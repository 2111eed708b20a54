"""Fuzzing of everything that reads bytes from outside, guided by coverage (atheris).

`make fuzz` runs every target for a while on a corpus that is checked in; what breaks one is kept as a file in
`tests/fuzz/crashes/TARGET`, and from then on `make test` fails until it is fixed.
"""
