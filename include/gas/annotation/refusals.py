"""Why an input is refused: one class for each reason, each with its own ``kind``."""

from __future__ import annotations

from gas.errors import InputError


class EmptyFile(InputError):
    """The file has no bytes, or none once it is decompressed."""

    kind = "empty-file"


class NotVcf(InputError):
    """The file does not begin like a VCF or BCF: something else, or binary junk."""

    kind = "not-vcf"


class BadHeader(InputError):
    """The header cannot be read: no ``#CHROM`` line, or one that is wrong."""

    kind = "bad-header"


class DuplicateSamples(InputError):
    """Two sample columns have the same name."""

    kind = "duplicate-samples"


class DamagedCompression(InputError):
    """The compressed data is damaged: it cannot be inflated, or what follows it is no gzip."""

    kind = "damaged-compression"


class TruncatedCompression(InputError):
    """The gzip, bgzip or BCF data ends before its end."""

    kind = "truncated-compression"


class TruncatedLine(InputError):
    """The last line ends in the middle."""

    kind = "truncated-line"


class CompressionBomb(InputError):
    """The file inflates beyond the limits."""

    kind = "compression-bomb"


class LineTooLong(InputError):
    """A line is longer than the limit."""

    kind = "line-too-long"


class ControlCharacters(InputError):
    """The text holds characters that no VCF has."""

    kind = "control-characters"


class BadColumns(InputError):
    """A record has too few or too many columns, or an empty one."""

    kind = "bad-columns"


class BadPosition(InputError):
    """POS is not a whole number from 0 on."""

    kind = "bad-position"


class OutsideContig(InputError):
    """A record begins or ends outside its contig."""

    kind = "outside-contig"


class BadAllele(InputError):
    """REF or ALT is no allele."""

    kind = "bad-allele"


class BadQuality(InputError):
    """QUAL is not a number."""

    kind = "bad-quality"


class BadValue(InputError):
    """A field of a record cannot be read as the header declares it."""

    kind = "bad-value"


class UnknownContigs(InputError):
    """Records lie on contigs that the reference does not have."""

    kind = "unknown-contigs"


class MixedContigNames(InputError):
    """One contig goes under two names in the same file."""

    kind = "mixed-contig-names"


class ReferenceMismatch(InputError):
    """Some REF alleles differ from the reference genome."""

    kind = "ref-mismatch"


class WrongBuild(ReferenceMismatch):
    """Most REF alleles differ: the file was made on another genome."""

    kind = "wrong-build"
