"""The owner of a ledger's files: the service's user must be able to open files that any command made."""

import contextlib
import os
import pwd
import shlex
from pathlib import Path


def hand_over(*files: Path) -> None:
    """Change the owner of files to the owner of their directory, if this process may.

    Only root may, and only root needs to: files that it makes would belong to root, and the service could not open
    them.
    """
    if os.geteuid() != 0:
        return
    for file in files:
        with contextlib.suppress(OSError):  # root without that right, as in some containers
            directory, there = file.parent.stat(), file.stat()
            if (there.st_uid, there.st_gid) != (directory.st_uid, directory.st_gid):
                os.chown(file, directory.st_uid, directory.st_gid)


def cure(path: Path) -> str:
    """Return the cure for a person who may not use a file of the ledger: the command to type, or what to change."""
    directory = path.parent
    try:
        owner = directory.stat().st_uid
    except OSError:
        return f"make sure that {directory} exists, and that you may read and write it"
    if owner == os.geteuid():
        return f"make {directory} and its files readable and writable for you"
    return f"run this as {name_of(owner)}, who owns {directory}: sudo -u {shlex.quote(name_of(owner))} …"


def name_of(user: int) -> str:
    """Return a user's name, or `#` and the number of a user without name; sudo accepts both."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"#{user}"
