"""Columns in the pages of RNTuples: split, compressed, and as uproot reads them."""

import numpy as np
import pytest
import uproot

from onnxroot._compress import COMPRESSIONS, nbytes_of, parse_compression
from onnxroot._encodings import ENCODINGS, decode, encode

pytestmark = pytest.mark.usefixtures("both_twins")


def values_of(dtype: np.dtype, n: int) -> np.ndarray:
    """Return values with every bit in use, the extremes among them."""
    random = np.random.default_rng(7)
    bits = random.integers(0, 256, n * dtype.itemsize, dtype=np.uint8)
    bits[: 2 * dtype.itemsize] = [0] * dtype.itemsize + [255] * dtype.itemsize
    return bits.view(dtype)


@pytest.mark.parametrize("n", [2, 3, 5000])  # more than one block of the kernels
@pytest.mark.parametrize("code", ENCODINGS)
def test_values_come_back(code: int, n: int) -> None:
    encoding = ENCODINGS[code]
    values = values_of(encoding.dtype, n)
    page = encode(values, encoding)
    assert len(page) == values.nbytes
    found = np.empty_like(values)
    decode(page, encoding, found)
    assert np.array_equal(found.view(np.uint8), values.view(np.uint8))
    decode(page[:0], encoding, found[:0])
    assert len(encode(values[:0], encoding)) == 0


@pytest.mark.parametrize(
    ("code", "values", "page"),
    [
        (0x12, [0x0201, 0x0403], "01 03 02 04"),
        (0x13, [-1, 1], "01 02 00 00 00 00 00 00"),
        (0x18, [1.0, -2.0], "00 00 00 00 80 00 3f c0"),
        (0x1B, [3, 5], "03 02" + 14 * " 00"),
    ],
    ids=["split", "zigzag", "float", "differences"],
)
def test_pages_are_as_specified(code: int, values: list[float], page: str) -> None:
    encoding = ENCODINGS[code]
    assert encode(np.array(values, encoding.dtype), encoding).tobytes() == bytes.fromhex(page)


@pytest.mark.parametrize("compression", [*COMPRESSIONS, "zstd:9", "lz4:9", "lzma:2"])
def test_uproot_decompresses_the_blocks(compression: str) -> None:
    weights = np.random.default_rng(7).normal(size=200_000).astype(np.float32)
    data = encode(weights, ENCODINGS[0x18])
    pieces = parse_compression(compression)(data)
    stored = np.frombuffer(b"".join(pieces), np.uint8)
    assert nbytes_of(pieces) == len(stored)
    assert (len(stored) < 0.95 * len(data)) == (compression != "none")
    if compression != "none":
        chunk = uproot.source.chunk.Chunk.wrap(None, stored)
        cursor = uproot.source.cursor.Cursor(0)
        found = uproot.compression.decompress(chunk, cursor, {}, len(stored), len(data))
        stored = found.raw_data
    assert np.array_equal(stored, data)


@pytest.mark.parametrize("n_zeros", [0, 1 << 23])
def test_what_does_not_shrink_is_stored(n_zeros: int) -> None:
    """All of it, if one block does not shrink: ROOT would refuse that."""
    noise = np.random.default_rng(7).integers(0, 256, 100_000, dtype=np.uint8)
    data = np.append(np.zeros(n_zeros, np.uint8), noise)
    assert parse_compression("zstd")(data) == [memoryview(data)]
