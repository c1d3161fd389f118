"""The metadata of RNTuples, damaged so that their checksums fit: found out all the same."""

import random
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import xxhash

import onnxroot
from onnxroot._envelopes import parse_footer, parse_header, parse_page_list
from onnxroot._page_map import PageMap
from onnxroot.errors import FormatError
from tests.golden import golden
from tests.samples import linear_model

PARSERS: dict[int, Callable[[bytes], object]] = {  # by the type of the envelope
    1: parse_header,
    2: parse_footer,
    3: parse_page_list,
}


def kind_of(envelope: bytes) -> int:
    return envelope[0]


def with_checksum(envelope: bytes) -> bytes:
    body = envelope[:-8]
    return body + struct.pack("<Q", xxhash.xxh3_64_intdigest(body))


@pytest.fixture
def envelopes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the envelopes of a stored model."""
    found: list[bytes] = []
    read = PageMap._envelope

    def note(self: PageMap, *arguments: int) -> bytes:
        found.append(read(self, *arguments))
        return found[-1]

    onnxroot.write(linear_model(), tmp_path / "m.root")
    with monkeypatch.context() as patch, onnxroot.open(tmp_path / "m.root") as model:
        patch.setattr(PageMap, "_envelope", note)
        model.to_bytes()
    return found


def test_whole_envelopes(envelopes: list[bytes]) -> None:
    assert {kind_of(envelope) for envelope in envelopes} == set(PARSERS)
    for envelope in envelopes:
        assert with_checksum(envelope) == envelope
        PARSERS[kind_of(envelope)](envelope)


def test_wrong_type_and_checksum(envelopes: list[bytes]) -> None:
    for envelope in envelopes:
        for kind, parse in PARSERS.items():
            if kind != kind_of(envelope):
                with pytest.raises(FormatError, match=f"an envelope of type .*, expected {kind}"):
                    parse(envelope)
        with pytest.raises(FormatError, match="checksum"):
            PARSERS[kind_of(envelope)](envelope[:-9] + bytes([envelope[-9] ^ 1]) + envelope[-8:])


def test_cut_envelopes(envelopes: list[bytes]) -> None:
    for envelope in envelopes:
        for n_bytes in range(0, len(envelope), 7):
            with pytest.raises(FormatError):
                PARSERS[kind_of(envelope)](envelope[:n_bytes])


@pytest.mark.parametrize("seed", range(4))
def test_any_other_number(seed: int, envelopes: list[bytes]) -> None:
    """Whatever stands in an envelope, it is read or refused, and soon."""
    generator = random.Random(seed)
    n_refused = 0
    for envelope in envelopes:
        for _ in range(20):
            damaged = bytearray(envelope)
            position = generator.randrange(8, len(envelope) - 8)
            size = generator.choice((1, 4, 8))
            number = generator.choice((0, -1, 1, 1 << 30, -(1 << 30), generator.getrandbits(63)))
            mask = (1 << 8 * size) - 1
            damaged[position : position + size] = (number & mask).to_bytes(size, "little")
            try:
                PARSERS[kind_of(envelope)](with_checksum(bytes(damaged[: len(envelope)])))
            except FormatError:
                n_refused += 1
    assert n_refused > 0


@pytest.mark.parametrize("kind", PARSERS)
@pytest.mark.parametrize(
    "name", [pytest.param("mlp_jet_tagger", marks=pytest.mark.sweep), "data_types"]
)
def test_models_with_such_envelopes(
    name: str, kind: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read whole models so: their bytes are right, or an error of ours says that they are not."""
    onnxroot.write(golden(name), tmp_path / "m.root")
    generator = random.Random(kind)
    read = PageMap._envelope

    def damage(self: PageMap, *arguments: int) -> bytes:
        envelope = bytearray(read(self, *arguments))
        if kind_of(envelope) == kind and generator.randrange(8) == 0:
            position = generator.randrange(8, len(envelope) - 8)
            envelope[position] ^= 1 << generator.randrange(8)
        return with_checksum(bytes(envelope))

    monkeypatch.setattr(PageMap, "_envelope", damage)
    outcomes = Counter(outcome(tmp_path / "m.root") for _ in range(60))
    assert outcomes[golden(name).read_bytes()] > 0
    assert outcomes[FormatError] > 0
    assert set(outcomes) <= {golden(name).read_bytes(), FormatError, onnxroot.IntegrityError}


def outcome(path: Path) -> bytes | type[Exception]:
    """Return what a model gives back, or the error that it raises."""
    try:
        with onnxroot.open(path) as model:
            return model.to_bytes()
    except onnxroot.OnnxRootError as error:
        return type(error)
