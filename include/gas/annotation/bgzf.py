"""BGZF, the blocked gzip of the SAM specification (4.1), as far as pysam leaves it to us: headers and joining."""

from __future__ import annotations

import re
import shutil
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends a file (4.1.2)."""
_START = bytes.fromhex("1f8b08040000000000ff060042430200")
_BLOCK_BYTES = 0xFF00
"""Bytes of text in one block, as bgzip itself cuts them."""
_CONTIG = re.compile(rb"^(##contig=<ID=)([^,>]+)", re.MULTILINE)


def is_bgzf(head: bytes) -> bool:
    """Whether a file that begins so is BGZF: gzip with the ``BC`` extra field."""
    return head[:4] == _START[:4] and head[12:16] == _START[12:16]


def compress(data: bytes, *, level: int) -> bytes:
    """``data`` as blocks, without the one that ends a file."""
    blocks = []
    for start in range(0, len(data), _BLOCK_BYTES):
        piece = data[start : start + _BLOCK_BYTES]
        deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
        body = deflate.compress(piece) + deflate.flush()
        blocks.append(
            _START
            + struct.pack("<H", len(_START) + 2 + len(body) + 8 - 1)
            + body
            + struct.pack("<II", zlib.crc32(piece), len(piece))
        )
    return b"".join(blocks)


def join(header: bytes, parts: Sequence[Path], target: Path) -> None:
    """Write ``header`` and then the records of the VCFs ``parts`` as one file; the parts are deleted.

    htslib begins a new block after a header, so that whole blocks can be taken.
    """
    with target.open("wb") as out:
        out.write(compress(header, level=6))
        for part in parts:
            with part.open("rb") as file:
                file.seek(_end_of_header(file))
                shutil.copyfileobj(file, out, 1 << 20)
            part.unlink()
            out.seek(-len(END), 1)
            out.truncate()
        out.write(END)


def _end_of_header(file: BinaryIO) -> int:
    """Where the blocks of a VCF's records begin."""
    whole_lines = False
    while True:
        at = file.tell()
        block = _read_block(file)
        if not block or (whole_lines and block[:1] != b"#"):
            return at
        whole_lines = block.endswith(b"\n")


def _read_block(file: BinaryIO) -> bytes:
    """Inflate the next block; empty at the end of the file."""
    start = file.read(18)
    if len(start) < 18:
        return b""
    (size,) = struct.unpack("<H", start[16:])
    return zlib.decompress(file.read(size + 1 - 18), -15)


def _read_header(file: BinaryIO) -> tuple[bytes, bytes]:
    """The header text of a BCF, and what of the records follows it in the same block."""
    data = _read_block(file)
    (length,) = struct.unpack("<I", data[5:9])
    while len(data) < 9 + length:
        data += _read_block(file)
    return data[9 : 9 + length].rstrip(b"\0"), data[9 + length :]


def bcf_header(path: Path) -> bytes:
    """The header text of a BCF."""
    with path.open("rb") as file:
        return _read_header(file)[0]


def first_record(path: Path) -> tuple[bytes, int] | None:
    """Contig and 1-based position of the first record of a BCF; None when it has none."""
    with path.open("rb") as file:
        header, data = _read_header(file)
        while len(data) < 16:
            more = _read_block(file)
            if not more:
                return None
            data += more
    _, _, contig, position = struct.unpack("<IIii", data[:16])
    return [match[2] for match in _CONTIG.finditer(header)][contig], position + 1


def rename_contigs(path: Path, names: Mapping[bytes, bytes]) -> None:
    """Exchange the names of contigs in a BCF: only its header holds them."""
    target = path.with_suffix(".renamed")
    with path.open("rb") as old, target.open("wb") as new:
        header, rest = _read_header(old)
        text = _CONTIG.sub(lambda match: match[1] + names.get(match[2], match[2]), header) + b"\0"
        new.write(compress(b"BCF\2\2" + struct.pack("<I", len(text)) + text + rest, level=0))
        shutil.copyfileobj(old, new, 1 << 20)
    target.rename(path)


def in_order(path: Path) -> bool:
    """Whether the records of a BCF are sorted by position within each run of a contig."""
    with path.open("rb") as file:
        _, data = _read_header(file)
        last_contig, last_position = -1, -1
        while True:
            at = 0
            while at + 8 <= len(data):
                shared, individual = struct.unpack_from("<II", data, at)
                if at + 8 + shared + individual > len(data):
                    break
                contig, position = struct.unpack_from("<ii", data, at + 8)
                if contig == last_contig and position < last_position:
                    return False
                last_contig, last_position = contig, position
                at += 8 + shared + individual
            more = _read_block(file)
            if not more:
                return True
            data = data[at:] + more
