"""Columns in the pages of RNTuples: split, compressed, and as uproot reads them."""

from contextlib import suppress
from typing import Any

import cramjam
import numpy as np
import pytest
import uproot

from onnxroot._compress import COMPRESSIONS, decompressed, nbytes_of, parse_compression
from onnxroot._encodings import ENCODINGS, ZEROS_APART, decode, encode
from onnxroot.errors import FormatError

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


def unpacked_by_uproot(stored: np.ndarray, nbytes: int) -> np.ndarray:
    chunk = uproot.source.chunk.Chunk.wrap(None, stored)
    cursor = uproot.source.cursor.Cursor(0)
    return uproot.compression.decompress(chunk, cursor, {}, len(stored), nbytes).raw_data


@pytest.mark.parametrize("compression", [*COMPRESSIONS, "zstd:9", "lz4:9", "lzma:2"])
def test_uproot_decompresses_the_blocks(compression: str) -> None:
    weights = np.random.default_rng(7).normal(size=200_000).astype(np.float32)
    data = encode(weights, ENCODINGS[0x18])
    pieces = parse_compression(compression)(data)
    stored = np.frombuffer(b"".join(pieces), np.uint8)
    assert nbytes_of(pieces) == len(stored)
    assert (len(stored) < 0.95 * len(data)) == (compression != "none")
    if compression != "none":
        stored = unpacked_by_uproot(stored, len(data))
    assert np.array_equal(stored, data)


@pytest.mark.parametrize("code", [0x12, 0x13, 0x14, 0x15, 0x16, 0x18, 0x19, 0x1A, 0x1B])
@pytest.mark.parametrize("top", [0, 1, 200, 40_000, 1 << 31])
@pytest.mark.parametrize("n", [40_000, 1 << 17])
@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_zeros_at_the_end_of_a_page(code: int, top: int, n: int, compression: str) -> None:
    """Small numbers have many: they are left out, and known to be there."""
    encoding = ENCODINGS[code]
    random = np.random.default_rng(7)
    bits = random.integers(0, top, n, endpoint=True, dtype=np.uint64)
    if encoding.is_index:
        bits = np.cumsum(bits)
    values = bits.astype(f"<u{encoding.dtype.itemsize}").view(encoding.dtype)
    page = encode(values, encoding)
    n_zeros = values.nbytes - len(page)
    assert n_zeros == 0 or n_zeros >= ZEROS_APART
    if top == 0 and code not in {0x12, 0x14, 0x18}:  # weights are not looked at
        assert n_zeros == values.nbytes or values.nbytes < ZEROS_APART
    pieces = parse_compression(compression)(page, n_zeros)
    stored = np.frombuffer(b"".join(pieces), np.uint8)
    begin = stored
    if len(stored) < values.nbytes:
        begin = decompressed(stored, values.nbytes, zeros_apart=True)
        by_uproot = unpacked_by_uproot(stored, values.nbytes)
        stored = decompressed(stored, values.nbytes)
        assert np.array_equal(by_uproot, stored)
        shrinks = not len(page) or nbytes_of(parse_compression("zstd")(page)) < len(page)
        are_apart = compression == "zstd" and n_zeros > 0 and shrinks
        assert len(begin) == (len(page) if are_apart else values.nbytes)
    assert stored[: len(page)].tobytes() == page.tobytes()
    assert not stored[len(page) :].any()
    for there in (stored, begin, page):
        found = np.full_like(values, 1)
        decode(there, encoding, found)
        assert found.tobytes() == values.tobytes()


@pytest.mark.parametrize("code", [code for code, e in ENCODINGS.items() if e.is_split])
def test_a_page_may_lack_any_zeros_at_its_end(code: int) -> None:
    """Wherever blocks end, which another program may have made."""
    encoding = ENCODINGS[code]
    values = np.arange(5000).astype(encoding.dtype)
    whole = np.zeros(values.nbytes, np.uint8)
    page = encode(values, encoding)
    whole[: len(page)] = page
    for nbytes in (len(values), 2 * len(values) - 1, 2 * len(values) + 7, len(whole) - 1):
        least = len(whole[:nbytes]) + len(whole[nbytes:].tobytes().rstrip(b"\0"))
        found = np.full_like(values, 1)
        decode(whole[:least], encoding, found)
        assert found.tobytes() == values.tobytes()
        decode(whole[:nbytes] * np.uint8(0), encoding, found)
        assert not found.any()


@pytest.mark.parametrize("n_zeros", [1, 1 << 17, (1 << 17) + 1, (1 << 23) + 1])
def test_zeros_by_themselves(n_zeros: int) -> None:
    pieces = parse_compression("zstd")(np.zeros(0, np.uint8), n_zeros)
    stored = np.frombuffer(b"".join(pieces), np.uint8)
    assert len(stored) < 30 + n_zeros // 10_000
    assert not decompressed(stored, n_zeros).any()


def test_noise_before_zeros_does_not_shrink_alone() -> None:
    noise = np.random.default_rng(7).integers(0, 256, 1 << 18, dtype=np.uint8)
    pieces = parse_compression("zstd")(noise, 3 << 18)
    stored = np.frombuffer(b"".join(pieces), np.uint8)
    assert 1 << 18 < len(stored) < 1.01 * (1 << 18)
    assert np.array_equal(decompressed(stored, 1 << 20), np.append(noise, np.zeros(3 << 18)))


@pytest.mark.parametrize("n_zeros", [0, 1 << 23])
def test_what_does_not_shrink_is_stored(n_zeros: int) -> None:
    """All of it, if one block does not shrink: ROOT would refuse that."""
    noise = np.random.default_rng(7).integers(0, 256, 100_000, dtype=np.uint8)
    data = np.append(np.zeros(n_zeros, np.uint8), noise)
    assert parse_compression("zstd")(data) == [memoryview(data)]


@pytest.mark.parametrize("coder", [uproot.ZLIB(1), uproot.LZMA(1), uproot.LZ4(1), uproot.ZSTD(1)])
@pytest.mark.parametrize("nbytes", [2000, (1 << 22) + 5, (1 << 24) + (1 << 21)])
def test_blocks_as_uproot_writes_them(coder: Any, nbytes: int) -> None:
    """The longest takes two of them."""
    data = np.repeat(np.arange(nbytes // 50 + 1, dtype=np.uint16), 25).view(np.uint8)[:nbytes]
    stored = np.frombuffer(uproot.compression.compress(data.tobytes(), coder), np.uint8)
    assert np.array_equal(decompressed(stored, nbytes), data)


@pytest.mark.parametrize("compression", ["zstd", "lz4", "lzma"])
def test_blocks_that_lie(compression: str) -> None:
    data = np.arange(100_000, dtype="<u4").repeat(3).view(np.uint8)
    stored = np.frombuffer(b"".join(parse_compression(compression)(data)), np.uint8)
    n = len(data)
    for nbytes in (n - 1, n + 1):
        with pytest.raises(FormatError, match=f"hold {n} bytes, expected {nbytes}"):
            decompressed(stored, nbytes)
        lie = stored.copy()
        lie[6:9] = np.frombuffer(nbytes.to_bytes(3, "little"), np.uint8)
        if compression == "zstd":  # of others cramjam cuts it, or adds zeros: digests see that
            with pytest.raises((FormatError, cramjam.DecompressionError)):
                decompressed(lie, nbytes)
    for at in range(9, len(stored), len(stored) // 50):  # what the libraries let pass has a digest
        bad = stored.copy()
        bad[at] ^= 0x10
        with suppress(FormatError, cramjam.DecompressionError):
            assert len(decompressed(bad, n)) == n
    bad = stored.copy()
    bad[9] ^= 1  # the checksum of LZ4, and what the others begin with
    with pytest.raises((FormatError, cramjam.DecompressionError)):
        decompressed(bad, n)
