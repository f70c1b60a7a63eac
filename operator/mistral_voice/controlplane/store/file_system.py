"""On what kind of file system a directory lies: SQLite's write-ahead log needs shared memory and locks, which network file systems lack."""

import ctypes
import os
from pathlib import Path
from typing import Final

# linux/magic.h and the file systems' own headers.
_NETWORKED: Final = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFE534D42: "SMB",
    0xFF534D42: "CIFS",
    0x01021997: "9P",
    0x00C36400: "CephFS",
    0x65735546: "FUSE",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x73757245: "Coda",
    0x01161970: "GFS2",
    0x7461636F: "OCFS2",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
}


def network_file_system(magic: int) -> str | None:
    """Return the name of the network file system that has this magic number, or None if it is a local one."""
    return _NETWORKED.get(magic & 0xFFFFFFFF)


def magic_of(path: Path) -> int:
    """Return the magic number of the file system that a path lies on, by statfs(2). Raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    # struct statfs begins with f_type, a word; 256 bytes are more than any architecture's has.
    buffer = ctypes.create_string_buffer(256)
    if library.statfs(os.fsencode(path), buffer) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    return ctypes.c_long.from_buffer(buffer).value
