"""Joining Parquet files by their row groups, without reading a row.

A Parquet file is the mark ``PAR1``, row groups, a footer, the footer's length (4 bytes, little-endian) and the mark
again. Row groups stand for themselves: put behind those of another file of the same columns, only the places in the
footer change. The footer is a structure in Thrift's compact protocol; the numbers of its fields below are those of
``parquet.thrift`` (https://github.com/apache/parquet-format).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

_MARK = b"PAR1"
_TAIL = 8  # bytes: length of the footer, mark
_BLOCK = 1 << 20

# Types of the compact protocol; maps (11) do not occur.
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _, _STRUCT = range(1, 13)
_LONG_LIST = 15  # the length of a list of so many items or more follows in a number of its own

# Fields of FileMetaData, RowGroup, ColumnChunk and ColumnMetaData.
_SCHEMA, _ROWS, _ROW_GROUPS = 2, 3, 4
_COLUMNS, _GROUP_AT, _ORDINAL = 1, 5, 7
_CHUNK_AT, _CHUNK, _OFFSET_INDEX, _COLUMN_INDEX = 2, 3, 4, 6
_DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE, _BLOOM_FILTER = 9, 10, 11, 14

#: For each field its type and value. A list is (type of its items, items); a text or a DOUBLE is its bytes.
_Struct = dict[int, tuple[int, Any]]


def join(parts: Sequence[Path], target: Path) -> None:
    """Write one Parquet file with the row groups of ``parts``, in their order.

    :raises ValueError: when a part is no Parquet file, or its columns are not those of the first.
    """
    whole: _Struct = {}
    groups: list[_Struct] = []
    rows = 0
    with target.open("wb") as out:
        out.write(_MARK)
        for part in parts:
            with part.open("rb") as source:
                footer, length = _footer(source, part)
                whole = whole or footer
                if footer[_SCHEMA] != whole[_SCHEMA]:
                    raise ValueError(f"{part} has other columns than {parts[0]}")
                by = out.tell() - len(_MARK)
                source.seek(len(_MARK))
                _copy(source, out, length)
            for group in footer[_ROW_GROUPS][1][1]:
                _move(group, by)
                if _ORDINAL in group:
                    group[_ORDINAL] = (_I16, len(groups))
                groups.append(group)
            rows += footer[_ROWS][1]
        whole[_ROWS] = (_I64, rows)
        whole[_ROW_GROUPS] = (_LIST, (_STRUCT, groups))
        packed = bytearray()
        _write(packed, _STRUCT, whole)
        out.write(packed + len(packed).to_bytes(4, "little") + _MARK)


def _footer(source: BinaryIO, path: Path) -> tuple[_Struct, int]:
    """The footer of a file, and how many bytes of row groups stand between the first mark and it."""
    size = source.seek(0, 2)
    source.seek(max(0, size - _TAIL))
    tail = source.read()
    start = size - _TAIL - int.from_bytes(tail[:4], "little")
    if tail[4:] != _MARK or start < len(_MARK):
        raise ValueError(f"{path} is no Parquet file")
    source.seek(start)
    return _Reader(source.read(size - _TAIL - start)).value(_STRUCT), start - len(_MARK)


def _copy(source: BinaryIO, out: BinaryIO, length: int) -> None:
    while length:
        block = source.read(min(length, _BLOCK))
        if not block:
            raise EOFError("The file ends within its row groups.")
        out.write(block)
        length -= len(block)


def _move(group: _Struct, by: int) -> None:
    """Add ``by`` bytes to every place that a row group names."""
    _add(group, (_GROUP_AT,), by)
    for column in group[_COLUMNS][1][1]:
        _add(column, (_CHUNK_AT, _OFFSET_INDEX, _COLUMN_INDEX), by)
        _add(column[_CHUNK][1], (_DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE, _BLOOM_FILTER), by)


def _add(struct: _Struct, fields: Sequence[int], by: int) -> None:
    for number in fields:
        if struct.get(number, (_I64, 0))[1]:  # 0 stands for "nowhere"
            struct[number] = (_I64, struct[number][1] + by)


class _Reader:
    """Reads values of the compact protocol."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def value(self, kind: int) -> Any:
        """The value of this type that comes next.

        :raises ValueError: when there is no such type in a Parquet footer.
        """
        if kind == _STRUCT:
            return self._struct()
        if kind in (_LIST, _SET):
            return self._list()
        if kind in (_I16, _I32, _I64):
            number = self._number()
            return number >> 1 ^ -(number & 1)
        if kind == _BINARY:
            return self._take(self._number())
        if kind == _DOUBLE:
            return self._take(8)
        if kind in (_BYTE, _TRUE, _FALSE):  # truth values outside of a list are their field's type
            return self._take(1)
        raise ValueError(f"A Parquet footer has no values of type {kind}")

    def _struct(self) -> _Struct:
        fields: _Struct = {}
        number = 0
        while head := self._take(1)[0]:
            kind = head & 15
            number = number + (head >> 4) if head >> 4 else self.value(_I16)
            fields[number] = (kind, None if kind in (_TRUE, _FALSE) else self.value(kind))
        return fields

    def _list(self) -> tuple[int, list[Any]]:
        head = self._take(1)[0]
        length = head >> 4 if head >> 4 < _LONG_LIST else self._number()
        return head & 15, [self.value(head & 15) for _ in range(length)]

    def _number(self) -> int:
        number = shift = 0
        while True:
            byte = self._take(1)[0]
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    def _take(self, length: int) -> bytes:
        taken = self._data[self._at : self._at + length]
        if len(taken) < length:
            raise ValueError("The Parquet footer ends too early")
        self._at += length
        return taken


def _write(out: bytearray, kind: int, value: Any) -> None:
    """Append a value of this type in the compact protocol."""
    if kind == _STRUCT:
        last = 0
        for number, (field_kind, field) in sorted(value.items()):
            if number - last < 16:
                out.append(number - last << 4 | field_kind)
            else:
                out.append(field_kind)
                _write(out, _I16, number)
            if field_kind not in (_TRUE, _FALSE):
                _write(out, field_kind, field)
            last = number
        out.append(0)
    elif kind in (_LIST, _SET):
        item_kind, items = value
        out.append(min(len(items), _LONG_LIST) << 4 | item_kind)
        if len(items) >= _LONG_LIST:
            _write_number(out, len(items))
        for item in items:
            _write(out, item_kind, item)
    elif kind in (_I16, _I32, _I64):
        _write_number(out, value << 1 ^ value >> 63)
    else:
        if kind == _BINARY:
            _write_number(out, len(value))
        out += value


def _write_number(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
