"""The input as a stream of VCF text, whatever it is: plain, gzip or bgzip VCF, or BCF.

What the file is follows from its first bytes, never from its name. Damage and compression bombs are found here,
before any other code sees the bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from gas.annotation.bcftools import ToolFailed, bcftools_output
from gas.annotation.bgzf import END, is_bgzf
from gas.annotation.limits import Limits
from gas.annotation.refusals import (
    CompressionBomb,
    DamagedCompression,
    EmptyFile,
    NotVcf,
    TruncatedCompression,
)

BLOCK_BYTES = 4 << 20
"""Text is handed on in pieces of about this size: large enough for numpy, small enough for the cache."""
_RAW_BYTES = 256 << 10
_GZIP = b"\x1f\x8b"
_BCF = b"BCF\x02"
_BEGINNING = b"##fileformat=VCFv4."
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def open_text(path: Path, *, limits: Limits) -> Iterator[bytes]:
    """The input as pieces of VCF text, cut anywhere.

    :raises EmptyFile: and the other refusals of this module, now or while the pieces are taken.
    """
    with path.open("rb") as raw:
        head = raw.read(64)
    if not head:
        raise EmptyFile("The file is empty.")
    if head[:2] == _GZIP:
        if is_bgzf(head):
            _refuse_unfinished_bgzf(path)
        pieces = _inflate(path, limits=limits)
    else:
        pieces = _plain(path, limits=limits)
    first = next(pieces, b"")
    if not first:
        raise EmptyFile("The file is empty once it is decompressed.")
    if first.startswith(_BCF):
        for _ in pieces:
            pass  # finds damage and bombs before bcftools reads the file
        return _bcf_text(path)
    if not first.startswith((_BEGINNING[: len(first)], _BYTE_ORDER_MARK + _BEGINNING)):
        raise NotVcf(
            "This is not a VCF: the first line of a VCF is ##fileformat=VCFv4.x. Take a VCF (plain, gzip or bgzip) or "
            "a BCF."
        )
    return chain([first.removeprefix(_BYTE_ORDER_MARK)], pieces)


def _bcf_text(path: Path) -> Iterator[bytes]:
    try:
        yield from read_pieces(bcftools_output("view", "--no-version", "-Ov", str(path)))
    except ToolFailed as error:
        raise DamagedCompression(f"The BCF cannot be read: {error.last_line}") from error


def read_pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Join what a pipe gives into pieces of about :data:`BLOCK_BYTES`."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= BLOCK_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)


def _plain(path: Path, *, limits: Limits) -> Iterator[bytes]:
    size = 0
    with path.open("rb") as raw:
        while piece := raw.read(BLOCK_BYTES):
            size += len(piece)
            if size > limits.max_inflated_bytes:
                raise CompressionBomb(f"The file is larger than {limits.max_inflated_bytes:,} bytes, the limit here.")
            yield piece


def _refuse_unfinished_bgzf(path: Path) -> None:
    with path.open("rb") as raw:
        raw.seek(max(0, path.stat().st_size - len(END)))
        if raw.read() != END:
            raise TruncatedCompression(
                "The bgzip data is cut off: the block that ends every bgzip file is missing. Upload the whole file."
            )


def _inflate(path: Path, *, limits: Limits) -> Iterator[bytes]:
    """Inflate all gzip members, a bounded piece at a time."""
    taken = given = 0
    parts: list[bytes] = []
    held = 0
    with path.open("rb") as raw:
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        data = raw.read(_RAW_BYTES)
        while data:
            before = len(data)
            try:
                piece = member.decompress(data, BLOCK_BYTES)
            except zlib.error as error:
                raise DamagedCompression(
                    f"The compressed data is damaged ({error}), after {given:,} bytes of text."
                ) from error
            data = member.unused_data if member.eof else member.unconsumed_tail
            taken += before - len(data)
            given += len(piece)
            if given > limits.max_inflated_bytes:
                raise CompressionBomb(
                    f"The file inflates to more than {limits.max_inflated_bytes:,} bytes, the limit here."
                )
            if given > limits.ratio_from_bytes and given > limits.max_inflation_ratio * max(taken, 1):
                raise CompressionBomb(
                    f"The file inflates more than {limits.max_inflation_ratio} times: that is no VCF, but a "
                    "compression bomb."
                )
            parts.append(piece)
            held += len(piece)
            if held >= BLOCK_BYTES:
                yield b"".join(parts)
                parts, held = [], 0
            if not data:
                data = raw.read(_RAW_BYTES)
            if member.eof and data:
                if len(data) < len(_GZIP):
                    data += raw.read(_RAW_BYTES)
                if not data.startswith((_GZIP, b"\0")):
                    raise DamagedCompression(f"After {given:,} bytes of text comes something that is not gzip.")
                if data.startswith(b"\0"):
                    break  # padding by tar or a disk, which gzip ignores too
                member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        if not member.eof:
            raise TruncatedCompression("The compressed data is cut off. Upload the whole file.")
    if parts:
        yield b"".join(parts)
