"""The header of a VCF: what the input says, and what the engine and the result need it to say.

Records are never re-spelled: where the input calls a contig ``chr21`` and the reference calls it ``21``, only header
lines are exchanged, on the way in and on the way out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gas.annotation.limits import Limits
from gas.annotation.refusals import (
    BadHeader,
    ControlCharacters,
    DuplicateSamples,
    LineTooLong,
    NotVcf,
    TruncatedLine,
)

FIXED = ("CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
OWN_INFO = {
    "GAS_REC": b'##INFO=<ID=GAS_REC,Number=1,Type=Integer,Description="Number of the record in the input, from 1">',
}
#: What an earlier run of GAS (or of csq) left in a file that comes in again, and what this run writes anew.
OWN_TAGS = ("INFO/GAS_REC", "INFO/GAS_OLD", "INFO/BCSQ", "FORMAT/BCSQ")
_VERSION = re.compile(rb"##fileformat=VCFv4\.\d+$")
_DECLARATION = re.compile(rb"##(INFO|FORMAT|FILTER|contig)=<ID=([^,>]+)(.*)>$", re.DOTALL)
_LENGTH = re.compile(rb"[,<]length=(\d+)")
_NUMBER = re.compile(rb"([,<])Number=[^,>]*")
_CONTROL = bytes(set(range(32)) - {9} | {127})


@dataclass(slots=True)
class Header:
    """The header of the input: its lines in order, and what they declare."""

    lines: list[bytes]
    """The ``##`` lines without their ends, contigs not among them."""
    columns: list[bytes]
    """The names of the ``#CHROM`` line."""
    contigs: dict[bytes, bytes]
    """Declared contigs in their order, each with its whole line."""
    declared: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    """For INFO, FORMAT and FILTER: each declared ID with its line."""
    supplied: list[bytes] = field(default_factory=list)
    """Declarations that the input lacks."""
    n_lines: int = 0
    """Lines of the file that the header takes."""

    @property
    def samples(self) -> list[bytes]:
        """The names of the sample columns."""
        return self.columns[9:]

    @classmethod
    def parse(cls, lines: Sequence[bytes]) -> Header:
        """Read the lines of a header, ``#CHROM`` line last, none with its end.

        :raises NotVcf: or another refusal, with the number of the line.
        """
        if not _VERSION.match(lines[0]):
            raise NotVcf(
                f"GAS reads VCF 4.1 to 4.4, and this file says {_shown(lines[0].removeprefix(b'##fileformat='))}.",
                line=1,
            )
        header = cls([], [], {}, {"INFO": {}, "FORMAT": {}, "FILTER": {}}, n_lines=len(lines))
        for number, line in enumerate(lines[:-1], start=1):
            if line.translate(None, _CONTROL) != line:
                raise ControlCharacters("The header holds control characters: this is not a text file.", line=number)
            declaration = _DECLARATION.match(line)
            if declaration is None:
                header.lines.append(line)
            elif declaration[1] == b"contig":
                header.contigs.setdefault(declaration[2], line)
            elif declaration[2] not in header.declared[declaration[1].decode()]:
                header.declared[declaration[1].decode()][declaration[2]] = line
                header.lines.append(line)
        header.columns = lines[-1].removeprefix(b"#").split(b"\t")
        header._check_columns(line=len(lines))
        return header

    def _check_columns(self, *, line: int) -> None:
        names = tuple(name.decode(errors="replace") for name in self.columns)
        if names[:8] != FIXED:
            missing = [name for name in FIXED if name not in names]
            what = f"lacks {', '.join(missing)}" if missing else "has its columns in another order"
            raise BadHeader(f"The #CHROM line {what}; it must be tab-separated: #{' '.join(FIXED)}.", line=line)
        if len(names) > 8 and names[8] != "FORMAT":
            raise BadHeader(f"The ninth column of the #CHROM line must be FORMAT, and is {names[8][:40]!r}.", line=line)
        if any(not name or name.strip() != name for name in names[9:]):
            raise BadHeader(
                "A sample in the #CHROM line has an empty name, or one that begins or ends with a space.", line=line
            )
        if any(name.translate(None, _CONTROL) != name for name in self.columns):
            raise ControlCharacters("The #CHROM line holds control characters.", line=line)
        seen: set[bytes] = set()
        for name in self.samples:
            if name in seen:
                raise DuplicateSamples(
                    f"Two sample columns are called {_shown(name)}; give each its own name.", line=line
                )
            seen.add(name)

    def own_tags(self, more: Iterable[str]) -> tuple[str, ...]:
        """Which of the tags that GAS writes the input holds already, as ``INFO/TAG``."""
        return tuple(
            tag for tag in (*OWN_TAGS, *more) if tag.partition("/")[2].encode() in self.declared[tag.partition("/")[0]]
        )

    def declare(self, kind: str, tag: bytes, *, flag: bool = False) -> None:
        """Supply a declaration that the input lacks. What is not known to be a flag is kept as text."""
        if kind == "FILTER":
            line = b'##FILTER=<ID=%b,Description="Not declared in the input">' % tag
        else:
            form = b"0,Type=Flag" if flag else b".,Type=String"
            line = b'##%b=<ID=%b,Number=%b,Description="Not declared in the input">' % (kind.encode(), tag, form)
        self.declared[kind][tag] = line
        self.supplied.append(line)

    def loosen(self, kind: str, tag: bytes) -> None:
        """Declare any number of values where the records have another number than was declared."""
        old = self.declared[kind][tag]
        new = _NUMBER.sub(rb"\1Number=.", old)
        self.declared[kind][tag] = new
        for lines in (self.lines, self.supplied):
            lines[:] = [new if line == old else line for line in lines]

    def text(self, contigs: Mapping[bytes, int]) -> bytes:
        """The header for the engine, with its last newline.

        :param contigs: names, in order, with their lengths; a declared line is kept, and given its length
            unless that is 0 (unknown).
        """
        lines = [*self.lines, *(self._contig_line(name, length) for name, length in contigs.items())]
        lines += [*self.supplied, *OWN_INFO.values(), b"#" + b"\t".join(self.columns), b""]
        return b"\n".join(lines)

    def _contig_line(self, name: bytes, length: int) -> bytes:
        line = self.contigs.get(name)
        if line is None:
            return b"##contig=<ID=%b,length=%d>" % (name, length)
        return line if not length or _LENGTH.search(line) else line[:-1] + b",length=%d>" % length


@dataclass(slots=True)
class Opened:
    """The input after its header was read."""

    header: Header
    rest: Iterator[bytes]
    """The records, in pieces cut anywhere; lines end as they do in the file."""
    crlf: bool


def read_header(pieces: Iterator[bytes], *, limits: Limits) -> Opened:
    """Take the header off the stream.

    :raises BadHeader: and other refusals, when it is none.
    """
    held = b""
    start = size = 0  # where the line being looked for begins; what was taken
    lines: list[bytes] = []
    while True:
        end = held.find(b"\n", start)
        if end < 0:
            if len(held) - start > limits.max_line_bytes:
                raise LineTooLong(f"The line is longer than {limits.max_line_bytes:,} bytes.", line=len(lines) + 1)
            piece = next(pieces, None)
            if piece is not None:
                held, start = held[start:] + piece, 0
                continue
            end = len(held)
            if end == start:
                raise BadHeader("The file ends without a #CHROM line: a VCF header ends with one.", line=len(lines) + 1)
        line = held[start:end].removesuffix(b"\r")
        if not line.startswith(b"#"):
            raise BadHeader(
                "Before this line the header should end with a #CHROM line, and does not.", line=len(lines) + 1
            )
        lines.append(line)
        size += len(line)
        if len(line) > limits.max_line_bytes or size > limits.max_header_bytes:
            raise LineTooLong(f"The header is longer than {limits.max_header_bytes:,} bytes.", line=len(lines))
        if not line.startswith(b"##"):
            break
        start = end + 1
        if start > len(held):
            raise TruncatedLine("The file ends in its header.", line=len(lines))
    crlf = held[:end].endswith(b"\r")
    header = Header.parse(lines)
    rest = held[end + 1 :]

    def records() -> Iterator[bytes]:
        if rest:
            yield rest
        yield from pieces

    return Opened(header, records(), crlf)


def _shown(text: bytes) -> str:
    return repr(text[:60].decode(errors="replace"))
