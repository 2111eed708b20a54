"""A program for tests: it shows what it was started with; with "wait" it waits, with "raise" it raises."""

import atexit
import os
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    if sys.argv[1] == "wait":
        sys.stdout.write("waits\n")
        sys.stdout.flush()
        time.sleep(60)
    if sys.argv[1] == "raise":
        raise RuntimeError("as asked")
    atexit.register(print, "at exit")
    colour, hue = os.environ.get("COLOUR"), os.environ.get("HUE")
    sys.stdout.write(f"{sys.argv[1:]} {colour} {hue} {Path.cwd()} {sys.stdin.read()}")
    sys.stderr.write("an error\n")
    sys.exit(7)
