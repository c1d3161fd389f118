"""Memory of arrays that costs less than the system takes for it.

Who touches new memory waits for the system page by page: 1 us for each 4 KiB, in a virtual machine
several, which is longer than most of what is done with them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["new_buffer", "reuse_memory"]

_KEPT = (1 << 25) - (1 << 13)  # bytes; glibc's own limit for this is 32 MiB
_HUGE_PAGE = 1 << 21  # bytes


def reuse_memory() -> None:
    """Let the C library keep some of the memory of arrays that are gone, for those to come.

    glibc gives what was a large array back to the system at once, and gets every page of the next
    one anew. From the first larger one that is freed on, it keeps up to twice as much; this one is
    never touched, and costs nothing.

    Source: mallopt(3), ``M_MMAP_THRESHOLD``.
    """
    np.empty(_KEPT, np.uint8)


def new_buffer(nbytes: int) -> npt.NDArray[np.uint8]:
    """Return a new array whose bytes are anything: for a while, since it may take 2 MiB more.

    Large ones begin where a huge page does, which Linux gives at once. NumPy asks it for those in
    arrays of 4 MiB and more, but such an array rarely begins there.

    Args:
        nbytes: Its length.

    Source: madvise(2), ``MADV_HUGEPAGE``.
    """
    if nbytes < _HUGE_PAGE:
        return np.empty(nbytes, np.uint8)
    room = np.empty(nbytes + _HUGE_PAGE, np.uint8)
    skipped = -room.ctypes.data % _HUGE_PAGE
    return room[skipped : skipped + nbytes]
