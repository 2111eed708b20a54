"""`python -m MODULE` without its imports: forked from a process that has imported the bridge and the emulators.

Tests start hundreds of processes. Each is a process of its own, with its own memory, descriptors and signals, and may
be killed at any moment; only the half second of processor time that its imports take is saved. `start_process` starts
one as `subprocess.Popen` does, and `run` waits for its end as `subprocess.run` does. What a forked process could not
do in the same way (other options of python, a variable that python or the loader reads when it starts) is started as
usual.
"""

from tests.forked.client import another, run, start_process, stop

__all__ = ["another", "run", "start_process", "stop"]
