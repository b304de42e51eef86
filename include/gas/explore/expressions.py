"""Filters as they are typed: ``gene=S``, ``impact in HIGH,MODERATE``, ``pos >= 100``, ``id filled``."""

from __future__ import annotations

import re

from gas.errors import InputError
from gas.explore.view import Operator

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


def condition(expression: str) -> str:
    """A typed filter as ``column:operator:value``, the form of links; the column itself is not looked at.

    :raises InputError: saying what a filter looks like.
    """
    if signed := _SIGNED.match(expression):
        return f"{signed[1]}:{_SIGNS[signed[2]]}:{signed[3]}"
    worded = _WORDED.match(expression)
    if worded and worded[2] in set(Operator):
        operator = Operator(worded[2])
        if operator.takes_value == (worded[3] is not None):
            return f"{worded[1]}:{operator}:{worded[3]}" if worded[3] is not None else f"{worded[1]}:{operator}"
    raise InputError(
        f"{expression!r} is not a filter: write gene=S, pos>=100, impact in HIGH,MODERATE, id filled; "
        f"the words are {', '.join(Operator)}"
    )
