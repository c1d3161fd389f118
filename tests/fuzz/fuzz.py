"""Fuzz one target with atheris: `python -m tests.fuzz.fuzz TARGET [OPTION]... FOLDER`.

The options are those of libFuzzer. For ROOT files its own mutations serve little: most move what
follows. So most of ours change numbers where they are.
"""

import random
import sys

import atheris

with atheris.instrument_imports(include=["onnxroot"]):
    from tests.fuzz import targets

EDGES = (0, 1, 2, 7, 16, 127, 128, 255, 256, 65535, 1 << 16, 1 << 31, (1 << 31) - 1, 1 << 32)


def mutate(data: bytes, most: int, seed: int) -> bytes:
    """Change a few numbers, or copy one piece over another; seldom what libFuzzer does."""
    generator = random.Random(seed)
    if len(data) < 100 or not generator.randrange(10):
        return atheris.Mutate(data, most)
    out = bytearray(data)
    for _ in range(generator.choice((1, 1, 1, 2, 4, 16))):
        width = generator.choice((1, 1, 2, 4, 8))
        order = generator.choice(("big", "little"))
        at = generator.randrange(len(out) - 64)
        number = int.from_bytes(out[at : at + width], order)
        new = generator.choice(
            (
                number ^ 1 << generator.randrange(8 * width),
                number + generator.choice((-1, 1, 8, -8)),
                generator.choice(EDGES),
                -generator.choice(EDGES),
                generator.randrange(1 << 8 * width),
            )
        )
        out[at : at + width] = (new % (1 << 8 * width)).to_bytes(width, order)
        if not generator.randrange(6):
            source, n = generator.randrange(len(out) - 64), generator.randrange(1, 64)
            out[at : at + n] = out[source : source + n]
    return bytes(out)


def main() -> None:
    """Run until libFuzzer has had enough."""
    name = sys.argv.pop(1)
    options = {}
    if name == "root":
        targets.look_at_no_checksum()
        options = {"custom_mutator": mutate}
    atheris.Setup(sys.argv, targets.TARGETS[name], **options)
    atheris.Fuzz()


main()
