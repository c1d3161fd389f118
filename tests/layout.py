"""An independent look at a ROOT file: what lies where in it, and that nothing lies on another.

Written from ROOT's reference of its file format, not from onnxroot's own modules.
"""

import struct
from itertools import pairwise
from pathlib import Path

import uproot


def check_layout(path: Path) -> None:
    """Check that no two records of a file overlap, nor any with a free segment, and more."""
    data = path.read_bytes()
    used, free = _records(data)
    used += _pages_and_baskets(path)
    problems = []
    taken = sorted({*used, *((start, stop, "free") for start, stop in free)})
    for (_, stop, name), (start, _, other) in pairwise(taken):
        if start < stop and not (name.startswith("pages") and other.startswith("pages")):
            problems.append(f"{name} up to {stop} overlaps {other} from {start}")
    assert not problems, problems[:5]


def _key(data, position):
    """Return length, key length, place, class, name and end of the key at a position."""
    nbytes, version, _, _, length, _ = struct.unpack_from(">ihiIhh", data, position)
    big = version > 1000
    seek, _ = struct.unpack_from(">QQ" if big else ">II", data, position + 18)
    end = position + (34 if big else 26)
    texts = []
    for _ in range(3):
        n = data[end]
        end += 1
        if n == 255:
            (n,) = struct.unpack_from(">I", data, end)
            end += 4
        texts.append(data[end : end + n].decode(errors="replace"))
        end += n
    assert end - position == length
    return nbytes, length, seek, texts[0], texts[1], end


def _records(data):
    """Return what the header, directories and keys use, and the free segments."""
    version, begin = struct.unpack_from(">ii", data, 4)
    layout = ">QQiiiBiQi" if version > 1_000_000 else ">IIiiiBiIi"
    end, seek_free, nbytes_free, n_free, nbytes_name, _, _, seek_info, nbytes_info = (
        struct.unpack_from(layout, data, 12)
    )
    assert end <= len(data)
    used = [(0, 75, "the header"), (begin, begin + _key(data, begin)[0], "the top")]
    for seek, nbytes, name in (
        (seek_free, nbytes_free, "the free list"),
        (seek_info, nbytes_info, "the streamer infos"),
    ):
        assert _key(data, seek)[0] == nbytes, name
        used.append((seek, seek + nbytes, name))
    _walk(data, begin + nbytes_name, "", used)
    position = _key(data, seek_free)[5]
    free = []
    for _ in range(n_free):
        (version,) = struct.unpack_from(">h", data, position)
        first, last = struct.unpack_from(">QQ" if version > 1000 else ">II", data, position + 2)
        position += 18 if version > 1000 else 10
        free.append((first, last + 1))
    assert free.pop()[0] == end
    assert max(stop for _, stop, _ in used) <= end
    return used, free


def _walk(data, position, path, used):
    """Add the key lists and objects below a directory, whose record is at a position."""
    (version,) = struct.unpack_from(">h", data, position)
    (nbytes_keys,) = struct.unpack_from(">i", data, position + 10)
    seeks = struct.unpack_from(">QQQ" if version > 1000 else ">III", data, position + 18)
    seek_keys = seeks[2]
    if not seek_keys:
        return
    assert _key(data, seek_keys)[0] == nbytes_keys, f"the length of the key list of {path!r}"
    used.append((seek_keys, seek_keys + nbytes_keys, f"the key list of {path!r}"))
    position = _key(data, seek_keys)[5]
    (n_keys,) = struct.unpack_from(">i", data, position)
    position += 4
    for _ in range(n_keys):
        nbytes, _, seek, kind, name, position = _key(data, position)
        used.append((seek, seek + nbytes, f"{path}{name}"))
        assert _key(data, seek)[0] == nbytes, f"{path}{name}"
        if kind in {"TDirectory", "TDirectoryFile"}:
            _walk(data, seek + _key(data, seek)[1], f"{path}{name}/", used)


def _pages_and_baskets(path):
    """Return what RNTuples and TTrees use outside of their keys."""
    used = []
    with uproot.open(path) as file:
        for key, kind in file.classnames(recursive=True).items():
            if kind == "TTree":
                for branch in file[key].itervalues(recursive=True):
                    for i in range(branch.num_baskets):
                        start = int(branch.member("fBasketSeek")[i])
                        nbytes = int(branch.member("fBasketBytes")[i])
                        if start:
                            used.append((start, start + nbytes, f"a basket of {key}"))
            elif kind == "ROOT::RNTuple":
                ntuple = file[key]
                for part in ("Header", "Footer"):
                    start = ntuple.member(f"fSeek{part}")
                    used.append((start, start + ntuple.member(f"fNBytes{part}"), f"pages of {key}"))
                for links in ntuple.page_link_list:
                    for pages in links:
                        for page in pages.pages:
                            start, nbytes = page.locator.offset, page.locator.num_bytes
                            used.append((start, start + nbytes, f"pages of {key}"))
    return [extent for extent in used if extent[0] < extent[1]]
