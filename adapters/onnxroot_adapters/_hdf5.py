"""HDF5 files of strangers, looked at before anything is read: all of it lies in the file itself."""

from __future__ import annotations

from typing import Any

from onnxroot.errors import FormatError

__all__ = ["check_hdf5"]

_FLOOR = 1 << 16  # bytes that an array may always have
_RATIO = 1032  # times what is stored of it: the most that deflate makes


def check_hdf5(file: Any, where: str) -> None:
    """Check every link and every array, of which none is read.

    Args:
        file: ``h5py.File``.
        where: What it is, for messages.

    Raises:
        FormatError: There are links, arrays that lie in other files, or arrays that claim to be far
            longer than what is stored of them.
    """
    import h5py  # noqa: PLC0415  (whoever has a file has it)

    try:
        links: list[tuple[str, object]] = []
        file.visititems_links(lambda name, link: links.append((name, link)))  # may not raise
        for name, link in links:
            if not isinstance(link, h5py.HardLink):
                raise FormatError(f"{where}: {name} is a link to elsewhere, which is not followed")
            if isinstance(file[name], h5py.Dataset):
                _check_array(file[name], f"{where}: {name}")
    except (KeyError, RuntimeError, OSError, TypeError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{where}: damaged HDF5 ({error}): get it again") from error


def _check_array(array: Any, where: str) -> None:
    if array.external or array.is_virtual:
        raise FormatError(f"{where} lies in another file, which is not opened")
    stored = array.id.get_storage_size()
    if array.nbytes > max(_FLOOR, _RATIO * stored):
        raise FormatError(
            f"{where} says that it has {array.nbytes} bytes, and {stored} are stored; the file is "
            "damaged: get it again"
        )
