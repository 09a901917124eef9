"""Locks on files, which end with their process however it ends."""

from __future__ import annotations

import errno
from pathlib import Path

from ranker.errors import ConfigurationError

_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}


def lock(file: int, path: Path) -> bool:
    """Lock an open file for this process alone; False if another one holds it.

    Raises:
        ConfigurationError: its file system has no locks, so that nobody can know who writes there.
    """
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise ConfigurationError(
            f"{path} cannot be locked ({error.strerror}): its file system has no file locks, without which two processes "
            "could write into each other. Name a path on another disk; network file systems can be mounted with locks."
        ) from None
    return True
