"""The check of a whole block of text at once, as arrays of bytes.

Says exactly what reading line by line says, or returns None and leaves the block to that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gas.annotation.check import Block, Check

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]

_TAB, _NEWLINE, _DOT, _COMMA, _SLASH, _BAR, _COLON, _HASH = b"\t\n.,/|:#"
_MAX_NAME = 64

# What a byte of REF or ALT is.
_BASE, _SEPARATOR, _LOWER_BASE, _OTHER = range(4)
_ALLELE_CLASS = np.full(256, _OTHER, np.uint8)
_ALLELE_CLASS[list(b"ACGT")] = _BASE
_ALLELE_CLASS[list(b",")] = _SEPARATOR
_ALLELE_CLASS[list(b"acgt")] = _LOWER_BASE

_GENOTYPE_END = np.zeros(256, np.bool_)
_GENOTYPE_END[list(b":\t\n")] = True
_PHASE = np.zeros(256, np.bool_)
_PHASE[list(b"/|")] = True


def block(check: Check, data: bytes) -> Block | None:
    """Check a block whose characters have been looked at; None when a line of it is not plain.

    Nothing of ``check`` is changed unless a block is returned.
    """
    text = np.frombuffer(data, np.uint8)
    newlines = np.flatnonzero(text == _NEWLINE)
    n = len(newlines)
    if n == 0:
        return None
    starts = np.empty(n, np.int64)
    starts[0] = 0
    starts[1:] = newlines[:-1] + 1
    widths = newlines - starts
    if widths.min() == 0 or widths.max() > check.limits.max_line_bytes or (text[starts] == _HASH).any():
        return None
    columns = check.n_columns
    all_tabs = np.flatnonzero(text == _TAB)
    if len(all_tabs) != n * (columns - 1):
        return None
    tabs: Places = all_tabs.reshape(n, columns - 1)
    if (tabs[:, 0] <= starts).any() or (tabs[:, -1] >= newlines - 1).any() or (np.diff(tabs, axis=1) <= 1).any():
        return None  # a column is missing or empty somewhere

    runs = _contigs(check, text, starts, tabs[:, 0])
    if runs is None:
        return None
    contigs, ranks, lengths, spelled = runs
    positions = _positions(text, tabs[:, 0], tabs[:, 1])
    if positions is None:
        return None
    ref_widths = tabs[:, 3] - tabs[:, 2] - 1
    ends = positions + ref_widths - 1
    if (positions < 1).any() or (ends > lengths).any():
        return None
    if not _qualities(text, tabs[:, 4] + 1, tabs[:, 5] - tabs[:, 4] - 1):
        return None
    alleles = _alleles(text, tabs)
    if alleles is None:
        return None
    text, multi, odd_lines, lower = alleles
    phase_unknown, genotyped = check.phase_unknown, False
    if columns > 9 and not phase_unknown:
        said = _phase(text, data, tabs, newlines)
        if said is None:
            return None
        phase_unknown, genotyped = said

    # Nothing is plain enough to stop for: from here on the state of the check moves on.
    check.contigs.spelled.update(spelled)
    check.phase_unknown = phase_unknown
    check.genotyped = check.genotyped or genotyped
    if multi:
        check.seen["multi-allelic"] += multi
    if lower:
        check.seen["lower case"] += lower
    odd = _odd(check, text, tabs, odd_lines)
    order = ranks << 40 | positions
    last_rank, last_position = check.last
    if (order[1:] < order[:-1]).any() or int(order[0]) < ((last_rank << 40 | last_position) if last_rank >= 0 else 0):
        check.sorted = False
    check.last = (int(ranks[-1]), int(positions[-1]))
    first_record = check.records + 1
    check.advance(records=n, lines=n)
    if check.number:
        out, starts = _numbered(text, starts, tabs, newlines, first_record)
    else:
        out = text.tobytes()
    return Block(out, starts, contigs, positions, ends, odd)


def _contigs(
    check: Check, text: Bytes, starts: Places, ends: Places
) -> tuple[Places, Places, Places, dict[int, bytes]] | None:
    """Of each record the contig's index, rank and length; and names not seen before."""
    widths = ends - starts
    widest = int(widths.max())
    if widest > _MAX_NAME:
        return None
    same = widths[1:] == widths[:-1]
    for offset in range(widest):
        within = np.minimum(offset, widths - 1)
        letters = text[starts + within]
        same &= letters[1:] == letters[:-1]
    run_starts = np.concatenate(([0], np.flatnonzero(~same) + 1))
    spelled: dict[int, bytes] = {}
    numbers = []
    for at in run_starts:
        name = text[starts[at] : ends[at]].tobytes()
        number = check.contigs.index.get(name)
        if number is None or check.contigs.spelled.get(number, name) != name or spelled.get(number, name) != name:
            return None
        spelled[number] = name
        numbers.append(number)
    counts = np.diff(np.append(run_starts, len(starts)))
    ranks = [check.contigs.rank[number] for number in numbers]
    lengths = [check.contigs.lengths[number] for number in numbers]
    return np.repeat(numbers, counts), np.repeat(ranks, counts), np.repeat(lengths, counts), spelled


def _positions(text: Bytes, before: Places, after: Places) -> Places | None:
    widths = after - before - 1
    widest = int(widths.max())
    if widest > 10:
        return None
    positions = np.zeros(len(widths), np.int64)
    for place in range(widest):
        here = place < widths
        digits = text[after - 1 - np.minimum(place, widths - 1)].astype(np.int64) - ord("0")
        if ((digits < 0) | (digits > 9)).any():
            return None
        positions += np.where(here, digits, 0) * 10**place
    return positions


def _qualities(text: Bytes, starts: Places, widths: Places) -> bool:
    """Whether every QUAL is a dot, or digits with at most one point among them."""
    given = (widths > 1) | (text[starts] != _DOT)
    if not given.any():
        return True
    starts, widths = starts[given], widths[given]
    letters = text[_spread(starts, widths)]
    points = letters == _DOT
    if (points | ((letters >= ord("0")) & (letters <= ord("9")))).all():
        firsts = np.cumsum(widths) - widths
        n_points = np.add.reduceat(points, firsts, dtype=np.int64)
        return bool(((n_points <= 1) & (n_points < widths)).all())
    return False


def _alleles(text: Bytes, tabs: Places) -> tuple[Bytes, int, Places, int] | None:
    """The text with alleles in capitals, how many records have several ALTs, which have an allele that is not
    plain bases, and how many alleles were not in capitals.
    """
    ref_at, ref_width = tabs[:, 2] + 1, tabs[:, 3] - tabs[:, 2] - 1
    alt_at, alt_width = tabs[:, 3] + 1, tabs[:, 4] - tabs[:, 3] - 1
    simple = (ref_width == 1) & (alt_width == 1)
    short = _ALLELE_CLASS[text[ref_at]] | _ALLELE_CLASS[text[alt_at]]
    plain = simple & (short == _BASE)
    rest = np.flatnonzero(~plain)
    if not len(rest):
        return text, 0, rest, 0
    widths = ref_width[rest] + 1 + alt_width[rest]
    where = _spread(ref_at[rest], widths)
    owner = np.repeat(np.arange(len(rest)), widths)
    classes = _ALLELE_CLASS[text[where]]
    tab = where == alt_at[rest][owner] - 1
    classes[tab] = _BASE
    lower = classes == _LOWER_BASE
    if lower.any():
        return None  # capitals and their count are left to the exact way
    commas = np.flatnonzero(classes == _SEPARATOR)
    if len(commas):
        at = where[commas]
        if (at < alt_at[rest][owner[commas]]).any():
            return None  # a comma in REF
        around = np.stack((text[at - 1], text[at + 1]))
        if ((around == _COMMA) | (around == _TAB)).any():
            return None  # an empty allele
    is_odd = np.zeros(len(rest), np.bool_)
    is_odd[owner[classes == _OTHER]] = True
    has_comma = np.zeros(len(rest), np.bool_)
    has_comma[owner[commas]] = True
    return text, int((has_comma & ~is_odd).sum()), rest[is_odd], 0


def _odd(check: Check, text: Bytes, tabs: Places, lines: Places) -> list[int]:
    """Read the alleles of the records that are not plain bases exactly."""
    odd = []
    for number in lines:
        ref = text[tabs[number, 2] + 1 : tabs[number, 3]].tobytes()
        alt = text[tabs[number, 3] + 1 : tabs[number, 4]].tobytes()
        _, _, is_odd = check.alleles(ref, alt, line=check.line + int(number) + 1)
        if is_odd:
            odd.append(int(number))
    return odd


def _phase(text: Bytes, data: bytes, tabs: Places, newlines: Places) -> tuple[bool, bool] | None:
    """Whether a genotype is unphased and heterozygous or has more than two alleles, and whether there is any
    genotype; None when not plain.
    """
    format_at = tabs[:, 7] + 1
    has = (text[format_at] == ord("G")) & (text[format_at + 1] == ord("T"))
    if not has.any():
        return False, False
    at = tabs[has, 8:] + 1
    last = len(text) - 1
    second = text[np.minimum(at + 1, last)]
    diploid = _PHASE[second]
    if not (diploid | _GENOTYPE_END[second]).all():
        return None  # an allele of two digits, or nothing that is a genotype
    at, first, second = at[diploid], text[at[diploid]], second[diploid]
    if not len(at):
        return False, True
    if not _GENOTYPE_END[text[np.minimum(at + 3, last)]].all():
        return None
    return bool(((second == _SLASH) & (first != text[at + 2])).any()), True


def _numbered(text: Bytes, starts: Places, tabs: Places, newlines: Places, first_record: int) -> tuple[bytes, Places]:
    """Put ``GAS_REC=n;`` before INFO, or in its place where it is a dot; n is padded with zeros, which htslib reads."""
    n = len(starts)
    info_at = tabs[:, 6] + 1
    info_end = tabs[:, 7] if tabs.shape[1] > 7 else newlines
    empty = (text[info_at] == _DOT) & (info_end - info_at == 1)
    width = len(str(first_record + n - 1))
    label = b"GAS_REC="
    tag = np.empty((n, len(label) + width + 1), np.uint8)
    tag[:, : len(label)] = np.frombuffer(label, np.uint8)
    tag[:, -1] = ord(";")
    numbers = np.arange(first_record, first_record + n)
    for place in range(width):
        tag[:, len(label) + width - 1 - place] = numbers % 10 + ord("0")
        numbers = numbers // 10
    # A dot gives way to the tag without its ";": the tag's last column takes the dot's place.
    added = np.full(n, tag.shape[1], np.int64)
    added[empty] -= 2
    shift = np.cumsum(added) - added
    out = np.empty(len(text) + int(added.sum()), np.uint8)
    old = np.ones(len(out), np.bool_)
    tag_at = info_at + shift
    columns = np.arange(tag.shape[1])
    where = tag_at[:, None] + columns
    if empty.any():
        put = np.ones(where.shape, np.bool_)
        put[empty, -1] = False
        where, tag = where[put], tag[put]
        keep = np.ones(len(text), np.bool_)
        keep[info_at[empty]] = False
        text = text[keep]
    old[where] = False
    out[old] = text
    out[where] = tag
    return out.tobytes(), starts + shift


def _spread(starts: Places, widths: Places) -> Places:
    """The places ``starts[i] .. starts[i] + widths[i] - 1``, one after the other."""
    total = int(widths.sum())
    firsts = np.cumsum(widths) - widths
    spread: Places = np.arange(total) + np.repeat(starts - firsts, widths)
    return spread
