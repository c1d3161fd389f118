"""The protobuf wire format over uint8 arrays: the records of many messages at once.

This module knows no ONNX: which fields a message has comes in as a `FieldRules`. Positions are
int64 byte offsets into one uint8 array.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from onnxroot._overlap import in_order
from onnxroot._ragged import exclusive_sum
from onnxroot._runs import FIXED32, FIXED64, LEN, VARINT, Run, find_run, starts_of
from onnxroot._varints import decode_varints, fail_truncated
from onnxroot.errors import FormatError

__all__ = [
    "FIXED32",
    "FIXED64",
    "LEN",
    "MAX_DEPTH",
    "VARINT",
    "FieldRules",
    "Tokens",
    "scan",
]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Bool = npt.NDArray[np.bool_]

START_GROUP, END_GROUP = 3, 4

MAX_DEPTH = 100
"""Messages and groups nested deeper than this are refused, as protobuf itself does."""

_MAX_TAG = 2**32 - 1
_LOCK_STEP_MIN = 48  # below this many messages one loop over tags beats NumPy's overhead
_LARGE = 1 << 20  # bytes of messages that are worth several threads
_RUN_MIN = 16  # records of one field in a row before a run is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRules:
    """What `scan` must know of a message's fields, by field number.

    Attributes:
        allowed: uint8, shape (n_numbers,); bit w is set where wire type w may carry the field;
            0 for unknown numbers. The last entry stands for all higher numbers, and is 0.
        canonical: uint8, shape (n_numbers,); the wire type the canonical form uses.
        recurs: bool, shape (n_numbers,); whether the canonical form may repeat the record.
        holds_messages: bool, shape (n_numbers,); whether the field's values are messages.
    """

    allowed: U8
    canonical: U8
    recurs: Bool
    holds_messages: Bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The records of many messages, one entry each; every array has shape (n_records,).

    Records of one message stand in the order of the bytes; those of different messages may be
    interleaved.

    Attributes:
        message: int64; index of the message in the batch that was scanned.
        number: int64; field number.
        wire_type: uint8.
        tag_start: int64; where the record begins.
        value_start: int64; where its value begins (behind the length, for LEN).
        value_end: int64; where the record ends.
        value: uint64; the varint, or the length for LEN, or 0.
        n_records: int32; 1, or how many records of one field stand here end to end: those of the
            first are the other attributes, but for the end.
        runs: What the entries of several records hold, part by part, by `tag_start`.
    """

    message: I64
    number: I64
    wire_type: U8
    tag_start: I64
    value_start: I64
    value_end: I64
    value: U64
    n_records: npt.NDArray[np.int32]
    runs: dict[int, list[Run]]

    def select(self, index: npt.NDArray[np.intp]) -> Tokens:
        """Return the records at `index`, in its order, as copies."""
        arrays = {name: getattr(self, name)[index] for name in _ARRAYS}
        return Tokens(**arrays, runs=self.runs)


_ARRAYS = tuple(name for name in Tokens.__slots__ if name != "runs")


def scan(
    data: U8, start: I64, stop: I64, rules: FieldRules, *, joined: bool = False
) -> tuple[Tokens, bool]:
    """Read the records of many messages of one type.

    Many messages are read in lock step, one record position at a time; the few that have many
    records are walked tag by tag.

    Args:
        data: uint8, shape (n_bytes,).
        start: int64, shape (n,); where each message begins.
        stop: int64, shape (n,); where it ends.
        rules: The fields of the message type.
        joined: Return long runs of numbers or texts that one repeated field holds as one entry
            each, with their values.

    Returns:
        The records of all messages, and whether all of them are in canonical order and form (as
        far as tags and lengths show it: the values are the caller's to check).

    Raises:
        FormatError: A record is truncated, has a bad tag, or carries a known field in a wire type
            that the field can't have.
    """
    live = (start < stop).nonzero()[0]
    position = start[live]
    previous = np.zeros(len(live), np.int64)
    parts: list[Tokens] = []
    canonical = True
    while len(live) >= _LOCK_STEP_MIN:
        tokens, minimal = _decode_records(data, position, stop[live], live)
        canonical = _is_canonical(tokens, previous, rules) and minimal and canonical
        parts.append(tokens)
        on = tokens.value_end < stop[live]
        live, position, previous = live[on], tokens.value_end[on], tokens.number[on]
    if len(live) or not parts:
        messages = list(zip(position.tolist(), stop[live].tolist(), strict=True))
        n_bytes = sum(end - begin for begin, end in messages)
        apply = in_order if n_bytes > _LARGE else map
        walks = list(apply(partial(_Walk, data, rules, joined), messages))
        counts = np.array([walk.n_found for walk in walks], np.int64)
        message = np.repeat(live, counts)
        tags = np.concatenate([part for walk in walks for part in walk.parts] or [live])
        tokens, minimal = _decode_records(data, tags, stop[message], message)
        for first, walk in zip(exclusive_sum(counts).tolist(), walks, strict=True):
            for number, run in walk.runs:
                index = first + number
                tokens.value_end[index] = run[-1].stop
                tokens.n_records[index] = sum(part.n_records for part in run)
                tokens.runs[int(tokens.tag_start[index])] = run
                canonical = canonical and all(part.minimal for part in run)
        before = np.empty_like(tokens.number)
        before[1:] = tokens.number[:-1]
        before[exclusive_sum(counts)] = previous
        canonical = _is_canonical(tokens, before, rules) and minimal and canonical
        parts.append(tokens)
    if len(parts) == 1:
        return parts[0], canonical
    arrays = {name: np.concatenate([getattr(p, name) for p in parts]) for name in _ARRAYS}
    return Tokens(**arrays, runs=parts[-1].runs), canonical


def _decode_records(data: U8, tag_start: I64, stop: I64, message: I64) -> tuple[Tokens, bool]:
    """Decode the record at each tag; return them and whether every varint was minimal."""
    tag, width, minimal = decode_varints(data, tag_start, stop)
    number = (tag >> np.uint64(3)).astype(np.int64)
    wire_type = (tag & np.uint64(7)).astype(np.uint8)
    bad = (number == 0) | (tag > np.uint64(_MAX_TAG)) | (wire_type > FIXED32)
    bad |= wire_type == END_GROUP
    if bad.any():
        _fail_tag(tag_start, number, wire_type, bad)
    value_start = tag_start + width
    value_end = value_start.copy()
    value = np.zeros(len(tag), np.uint64)
    coded = ((wire_type == VARINT) | (wire_type == LEN)).nonzero()[0]
    value[coded], width, short = decode_varints(data, value_start[coded], stop[coded])
    value_end[coded] += width
    framed = coded[wire_type[coded] == LEN]
    value_start[framed] = value_end[framed]
    if (value[framed] > (stop[framed] - value_start[framed]).astype(np.uint64)).any():
        over = value[framed] > (stop[framed] - value_start[framed]).astype(np.uint64)
        fail_truncated(tag_start[framed[over][0]])
    value_end[framed] += value[framed].astype(np.int64)
    if len(coded) < len(tag):
        value_end[wire_type == FIXED32] += 4
        value_end[wire_type == FIXED64] += 8
        for i in (wire_type == START_GROUP).nonzero()[0].tolist():
            value_end[i] = _skip_group(
                memoryview(data), int(value_start[i]), int(stop[i]), [int(number[i])]
            )
        if (value_end > stop).any():
            fail_truncated(tag_start[value_end > stop][0])
    tokens = Tokens(
        message=message,
        number=number,
        wire_type=wire_type,
        tag_start=tag_start,
        value_start=value_start,
        value_end=value_end,
        value=value,
        n_records=np.ones(len(tag), np.int32),
        runs={},
    )
    return tokens, minimal and short


def _fail_tag(tag_start: I64, number: I64, wire_type: U8, bad: Bool) -> NoReturn:
    i = int(np.argmax(bad))
    raise FormatError(
        f"no such tag (field number {int(number[i])}, wire type {int(wire_type[i])}); "
        "this is not a ModelProto, or it is damaged",
        offset=int(tag_start[i]),
    )


def _is_canonical(tokens: Tokens, previous: I64, rules: FieldRules) -> bool:
    """Check wire types against the rules; say whether order and form are canonical."""
    known = np.minimum(tokens.number, len(rules.allowed) - 1)
    allowed = rules.allowed[known]
    clash = (allowed != 0) & ((allowed >> tokens.wire_type) & 1 == 0)
    if clash.any():
        i = int(np.argmax(clash))
        raise FormatError(
            f"field {int(tokens.number[i])} can't have wire type {int(tokens.wire_type[i])}; "
            "this is not a ModelProto, or it is damaged",
            offset=int(tokens.tag_start[i]),
        )
    deviates = (allowed == 0) | (tokens.wire_type != rules.canonical[known])
    deviates |= tokens.number < previous
    deviates |= (tokens.number == previous) & ~rules.recurs[known]
    return not deviates.any()


class _Walk:
    """The records of one message, found tag by tag.

    Attributes:
        parts: int64; where each record begins.
        n_found: How many there are.
        runs: Each run that is joined, and which record it is.
    """

    def __init__(self, data: U8, rules: FieldRules, joined: bool, message: tuple[int, int]) -> None:
        """Find them.

        Args:
            data: The bytes.
            rules: The fields.
            joined: Whether long runs are to be one record each.
            message: Where it begins and ends.
        """
        self.parts: list[I64] = []
        self.n_found = 0
        self.runs: list[tuple[int, list[Run]]] = []
        self._data, self._buffer = data, memoryview(data)
        self._rules, self._joined = rules, joined
        self._message(*message)

    def _add(self, tags: list[int] | I64) -> None:
        self.parts.append(np.array(tags, np.int64))
        self.n_found += len(tags)

    def _message(self, position: int, stop: int) -> None:
        """Find the records of one message.

        Does not judge what it sees: a record that is wrong is the last one found, and
        `_decode_records` says what is wrong with it.
        """
        buffer = self._buffer
        tags: list[int] = []
        previous, repeats = -1, 0
        end = len(buffer)
        while position < stop:
            tags.append(position)
            first = position
            tag, position = _varint(buffer, position, end)
            wire_type = tag & 7
            if wire_type == LEN:
                n, position = _varint(buffer, position, end)
                position += n
                if tag == previous and n < 0x80 and tag < 0x80 and not self._may_run(tag):
                    position = _short_records(buffer, position, min(stop, end), tag, tags)
            elif wire_type == VARINT:
                _, position = _varint(buffer, position, end)
            elif wire_type == FIXED32:
                position += 4
            elif wire_type == FIXED64:
                position += 8
            elif wire_type == START_GROUP:
                position = _skip_group(buffer, position, stop, [tag >> 3])
            else:
                break
            repeats = repeats + 1 if tag == previous else 0
            previous = tag
            if repeats == _RUN_MIN and self._may_run(tag):
                self._add(tags[:-1])
                end_of_run = self._run(first, stop, tag)
                tags, position = ([], end_of_run) if end_of_run > first else ([first], position)
                repeats = 0
        self._add(tags)

    def _may_run(self, tag: int) -> bool:
        """Return whether `find_run` finds records with a tag: numbers, or texts that we know."""
        if tag >= 0x80 or tag & 7 == START_GROUP:
            return False
        number, known = tag >> 3, len(self._rules.allowed)
        return tag & 7 != LEN or (number < known and not self._rules.holds_messages[number])

    def _run(self, start: int, stop: int, tag: int) -> int:
        """Find the records of a run; return where it ends."""
        rules, number = self._rules, tag >> 3
        is_canonical = number < len(rules.recurs) and bool(rules.recurs[number])
        is_canonical = is_canonical and int(rules.canonical[number]) == tag & 7
        joined = self._joined and is_canonical
        run = list(find_run(self._data, start, stop, tag, with_starts=not joined))
        if not run:
            return start
        if joined:
            self.runs.append((self.n_found, run))
            self._add([start])
        else:
            for part in run:
                self._add(starts_of(part))
        return run[-1].stop


def _short_records(buffer: memoryview, position: int, stop: int, tag: int, tags: list[int]) -> int:
    """Find the records of a field with a short tag and short values, and add them to `tags`.

    Returns:
        Where another record begins, or the message ends.
    """
    while position + 1 < stop and buffer[position] == tag and buffer[position + 1] < 0x80:
        tags.append(position)
        position += 2 + buffer[position + 1]
    return position


def _varint(buffer: memoryview, position: int, end: int) -> tuple[int, int]:
    """Decode one varint leniently: cut or overlong ones end the walk."""
    value = shift = 0
    while position < end and shift < 70:
        byte = buffer[position]
        position += 1
        if byte < 0x80:
            return value | byte << shift, position
        value |= (byte & 0x7F) << shift
        shift += 7
    return 7, end  # wire type 7: no such thing


def _skip_group(buffer: memoryview, position: int, stop: int, open_groups: list[int]) -> int:
    """Return where the group ends whose content begins at `position`.

    Args:
        buffer: The bytes.
        position: Behind the start-group tag.
        stop: The end of the message.
        open_groups: Field numbers of the groups that are open, outermost first.

    Raises:
        FormatError: The group is cut, nests too deeply, or an end tag has no start.
    """
    while open_groups:
        begin = position
        tag, position = _varint(buffer, position, stop)
        wire_type, number = tag & 7, tag >> 3
        if wire_type == START_GROUP:
            open_groups.append(number)
        elif wire_type == END_GROUP and open_groups[-1] == number:
            open_groups.pop()
        elif wire_type == LEN:
            n, position = _varint(buffer, position, stop)
            position += n
        elif wire_type == VARINT:
            _, position = _varint(buffer, position, stop)
        elif wire_type in {FIXED32, FIXED64}:
            position += 4 if wire_type == FIXED32 else 8
        else:
            raise FormatError(
                f"no such tag (field number {number}, wire type {wire_type}) in a group",
                offset=begin,
            )
        if position > stop or not 0 < number <= _MAX_TAG >> 3:
            fail_truncated(begin)
        if len(open_groups) > MAX_DEPTH:
            raise FormatError(f"groups nest deeper than {MAX_DEPTH}", offset=begin)
    return position
