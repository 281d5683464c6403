"""Files that are replaced whole: a crash leaves the old one, and nothing beside it.

The new content is written beside the file under a short name made of a digest of the
file's own, and renamed. While it is written it is locked, so that the next save can tell
what a dead one left from what another process is writing.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

try:
    import fcntl
except ImportError:  # Windows, where nobody can remove a file that is being written
    fcntl = None

__all__ = ["is_special", "replace_file"]


def is_special(path):
    """Whether a path leads to a device, a pipe or a socket.

    Opening one may wait for ever, and renaming a file onto one would remove it.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def replace_file(path, content):
    """Write a file, or replace one: its mode is kept, and a link to it stays a link.

    Parameters
    ----------
    path : str or path-like
    content : bytes

    Raises
    ------
    OSError
        If there is a folder or anything else that is no regular file, if an old file may
        not be written, or if writing fails; the old file is then as it was.
    """
    if is_special(path):
        raise OSError(
            f"{path} is a device, a pipe or a socket, which no file can replace; give "
            "another path."
        )
    target = Path(os.path.realpath(path))
    before = None
    if target.exists():
        with open(target, "ab"):  # an OSError if it is a folder, or may not be written
            before = target.stat()
    prefix = f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}."
    _remove_left(target.parent, prefix)
    with _beside(target.parent, prefix) as (file, name):
        if before is not None:
            with suppress(PermissionError):
                if hasattr(os, "chown"):
                    os.chown(name, before.st_uid, before.st_gid)
            os.chmod(name, stat.S_IMODE(before.st_mode))
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        if fcntl is None:
            file.close()  # Windows renames no file that is open
        os.replace(name, target)


@contextmanager
def _beside(folder, prefix):
    """A new file in a folder, open and locked, and its name; removed on any error."""
    name = folder / f"{prefix}{uuid4().hex[:16]}.part"
    try:
        with open(name, "xb") as file:
            if fcntl is not None:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(file, fcntl.LOCK_EX)
            # Another save may have removed it before it was locked.
            if name.exists():
                yield file, name
                return
        with _beside(folder, prefix) as again:
            yield again
    except BaseException:
        with suppress(FileNotFoundError):
            name.unlink()
        raise


def _remove_left(folder, prefix):
    """Remove what saves of one file have left that were killed."""
    found = []
    with suppress(OSError), os.scandir(folder) as entries:  # it may not be listed
        found = [e.path for e in entries if e.name.startswith(prefix)]
    for path in found:
        with suppress(OSError):  # it is being written, or gone already
            _remove_unlocked(path)


def _remove_unlocked(path):
    if fcntl is None:
        os.unlink(path)
        return
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
