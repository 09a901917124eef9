"""What the system offers to shut untrusted code in: namespaces, else Landlock, on Linux.

The sandbox runs this file's text in a process of its own, without Ranker: nothing here may import it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct

_NEW_MOUNTS, _NEW_IPC, _NEW_USER, _NEW_PIDS, _NEW_NET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_MOUNT_SETATTR, _LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 442, 444, 446  # the same on every architecture
_END_WITH_PARENT, _SUBREAPER, _NO_NEW_PRIVILEGES = 1, 36, 38
_NOBODY = 65534


class Isolation:
    """How candidates are shut in.

    Attributes:
        kind: "namespaces": no other process, no network, no file that can be written; "landlock": no file that can
            be written, no memory or environment of other processes; "none".
    """

    def __init__(self) -> None:
        self.kind = "none"
        try:
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._libc.prctl(_SUBREAPER, 1, 0, 0, 0)  # what a candidate leaves behind becomes our child
            if self._tried():
                self._enter()
                self._become_first()
                self.kind = "namespaces"
            elif self._libc.syscall(_LANDLOCK_CREATE, None, 0, 1) > 0:
                self.kind = "landlock"
        except (OSError, AttributeError):  # no Linux
            pass

    def _tried(self) -> bool:
        """Whether namespaces are to be had; asked in a child, for a failure half-way could not be undone."""
        pid = os.fork()
        if pid == 0:
            os._exit(0 if self._enter() and self._libc.unshare(_NEW_PIDS) == 0 else 1)
        return os.waitpid(pid, 0)[1] == 0

    def _become_first(self) -> None:
        """Go on as the first process of a namespace of its own, which others can be made inside."""
        self._libc.unshare(_NEW_PIDS)
        pid = os.fork()
        if pid:
            os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
        self._libc.prctl(_END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
        self._pids = os.pidfd_open(os.getpid())

    def _enter(self) -> bool:
        """A user namespace with rights over its own mounts, in which nothing can be written and /proc is empty."""
        uid, gid = os.getuid(), os.getgid()
        if self._libc.unshare(_NEW_USER | _NEW_MOUNTS | _NEW_IPC | _NEW_NET):
            return False
        try:
            for file, text in (
                ("setgroups", "deny"),
                ("uid_map", f"{_NOBODY} {uid} 1"),
                ("gid_map", f"{_NOBODY} {gid} 1"),
            ):
                with open(f"/proc/self/{file}", "w") as map_file:
                    map_file.write(text)
        except OSError:
            return False
        read_only = struct.pack("QQQQ", 1 | 2, 0, 0, 0)  # and no setuid
        recursive = 0x8000
        return bool(
            self._libc.syscall(_MOUNT_SETATTR, -100, b"/", recursive, read_only, len(read_only)) == 0
            and self._libc.mount(b"none", b"/proc", b"tmpfs", 1, None) == 0
            and (not os.path.isdir("/run") or self._libc.mount(b"none", b"/run", b"tmpfs", 1, None) == 0)
        )

    def fork(self) -> int:
        """As os.fork; what the child starts can be ended with it."""
        if self.kind != "namespaces":
            return os.fork()
        if self._libc.unshare(_NEW_PIDS):
            raise OSError(ctypes.get_errno(), "no new process namespace")
        pid = os.fork()
        if pid:
            self._libc.setns(self._pids, _NEW_PIDS)
            return pid
        inner = os.fork()  # the first process of a namespace does not hear signals from inside
        if inner:
            os.closerange(0, 256)
            os.waitpid(inner, 0)
            os._exit(0)  # and all others end
        return 0

    def shut_in(self) -> None:
        """Give up, in the child, what the code to come must not have."""
        if self.kind == "none":
            return
        self._libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        if self.kind == "namespaces":
            self._libc.capset(struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *[0] * 6))
            return
        version = self._libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
        writes = 0x1FF2 | (version >= 2) << 13 | (version >= 3) << 14
        rights = struct.pack("QQQ", writes, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
        size = 8 if version < 4 else 16 if version < 6 else 24
        ruleset = self._libc.syscall(_LANDLOCK_CREATE, rights, size, 0)
        if ruleset < 0 or self._libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0):
            os._exit(1)
        os.close(ruleset)

    def end(self, pid: int) -> None:
        """Kill a child, its group, and what it has left."""
        for kill in (os.killpg, os.kill):
            try:
                kill(pid, signal.SIGKILL)
            except OSError:
                pass
        os.waitpid(pid, 0)
        for _ in range(1_000):  # those whose parents die become children of ours in turn
            try:
                if os.waitpid(-1, os.WNOHANG)[0]:
                    continue
                with open(f"/proc/self/task/{os.getpid()}/children") as children:
                    for child in children.read().split():
                        os.kill(int(child), signal.SIGKILL)
            except ChildProcessError:
                return
            except OSError:
                pass
