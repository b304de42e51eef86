"""Filters as they are typed: ``gene=S``, ``impact in HIGH,MODERATE``, ``pos >= 100``, ``id filled``.

They are joined by ``and`` and ``or``, with one level of parentheses: ``impact=HIGH and (gene=S or gene=N)``. A value
that holds such a word or a parenthesis stands in double quotes: ``disease="asthma and COPD"``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gas.errors import InputError
from gas.explore.view import MAX_GROUPS, Match, Operator

_SIGNS = {
    "=": Operator.IS,
    "==": Operator.IS,
    "!=": Operator.IS_NOT,
    "<": Operator.LESS,
    "<=": Operator.AT_MOST,
    ">": Operator.MORE,
    ">=": Operator.AT_LEAST,
}
_SIGNED = re.compile(r"^\s*([A-Za-z_][0-9A-Za-z_.]*)\s*(==|!=|<=|>=|=|<|>)\s*(.*?)\s*$")
_WORDED = re.compile(r"^\s*([A-Za-z_][0-9A-Za-z_.]*)\s+([a-z-]+)(?:\s+(.*?))?\s*$")
_JOIN = re.compile(r"\s+(and|or)(?=[\s(]|$)", re.IGNORECASE)
_MATCHES = {"and": Match.ALL, "or": Match.ANY}


@dataclass(frozen=True, slots=True)
class _Joined:
    """Conditions in the form of links, or parentheses of them; ``match`` is None where there is one alone."""

    match: Match | None
    parts: tuple[str | _Joined, ...]


def filters(expressions: Sequence[str], *, any_is_enough: bool = False) -> list[tuple[str, str]]:
    """Typed filters as the keys and values of a link, see :mod:`gas.explore.view`.

    :param any_is_enough: rows that pass one of them are enough.
    :raises InputError: saying what cannot be understood.
    """
    read = [_read(expression) for expression in expressions]
    match = Match.ANY if any_is_enough else Match.ALL
    if len(read) == 1 and not any_is_enough:
        match = read[0].match or match
    pairs: list[tuple[str, str]] = []
    groups: list[_Joined] = []
    for part in _spread(read, match):
        if isinstance(part, str):
            pairs.append(("where", part))
        else:
            groups.append(part)
    if len(groups) > MAX_GROUPS:
        raise InputError(f"filters can have at most {MAX_GROUPS} parentheses")
    for number, group in enumerate(groups, 1):
        for one in group.parts:
            if not isinstance(one, str):
                raise InputError("filters can be combined by one level of parentheses, and no deeper")
            pairs.append((f"where.{number}", one))
    return [*pairs, ("match", match)] if match is not Match.ALL else pairs


def _spread(joined: Sequence[str | _Joined], match: Match) -> Iterator[str | _Joined]:
    """What ``match`` combines, without parentheses that say the same."""
    for one in joined:
        if isinstance(one, str) or one.match not in (None, match):
            yield one
        else:
            yield from _spread(one.parts, match)


def _read(expression: str) -> _Joined:
    tokens = list(_tokens(expression))
    read = _joined(tokens, expression, inside=False)
    if tokens:
        raise InputError(f"{expression!r} has a ) too many")
    return read


def _joined(tokens: list[str], expression: str, *, inside: bool) -> _Joined:
    """Takes from ``tokens`` what is joined, up to the parenthesis that ends it."""
    parts: list[str | _Joined] = []
    match: Match | None = None
    while True:
        token = tokens.pop(0) if tokens else ""
        if token == "(":  # noqa: S105 - a token of the filter
            if inside:
                raise InputError(f"{expression!r} has parentheses within parentheses: one level can be understood")
            parts.append(_joined(tokens, expression, inside=True))
            if not tokens or tokens.pop(0) != ")":
                raise InputError(f"{expression!r} has a ( too many")
        else:
            parts.append(condition(token, of=expression))
        if not tokens or tokens[0] not in _MATCHES:
            return _Joined(match, tuple(parts))
        word = _MATCHES[tokens.pop(0)]
        if match not in (None, word):
            raise InputError(f"{expression!r} has both and and or: put parentheses around what belongs together")
        match = word


def _tokens(expression: str) -> Iterator[str]:
    """Conditions, ``and``, ``or`` and parentheses, except those within quotes or within a value."""
    text, at, quoted, open_in_value = "", 0, False, 0
    while at < len(expression):
        sign = expression[at]
        join = None if quoted or open_in_value else _JOIN.match(expression, at)
        if join:
            if text:
                yield text
            yield join[1].lower()
            text, at = "", join.end()
            continue
        if sign == '"':
            quoted = not quoted
        elif not quoted and sign == "(" and text.strip():
            open_in_value += 1
        elif not quoted and sign == ")" and open_in_value:
            open_in_value -= 1
        elif not quoted and sign in "()":
            if text.strip():
                yield text
            yield sign
            text, at = "", at + 1
            continue
        text, at = text + sign, at + 1
    if quoted:
        raise InputError(f'{expression!r} has a " that nothing closes')
    if text.strip():
        yield text


def condition(expression: str, *, of: str = "") -> str:
    """A typed filter as ``column:operator:value``, the form of links; the column itself is not looked at.

    :param of: the whole of which it is a part.
    :raises InputError: saying what a filter looks like.
    """
    if signed := _SIGNED.match(expression):
        return f"{signed[1]}:{_SIGNS[signed[2]]}:{_unquoted(signed[3])}"
    worded = _WORDED.match(expression)
    if worded and worded[2] in set(Operator):
        operator = Operator(worded[2])
        if operator.takes_value == (worded[3] is not None):
            return (
                f"{worded[1]}:{operator}:{_unquoted(worded[3])}" if operator.takes_value else f"{worded[1]}:{operator}"
            )
    where = f" in {of!r}" if of and of != expression else ""
    raise InputError(
        f"{expression!r}{where} is not a filter: write gene=S, pos>=100, impact in HIGH,MODERATE, id filled, or "
        f"impact=HIGH and (gene=S or gene=N); the words are {', '.join(Operator)}"
    )


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
