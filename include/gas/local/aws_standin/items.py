"""DynamoDB's items, written out quickly.

For each attribute of an item moto 5.2 looks for all ten types that it might have, under each name that Python code
might give them, which takes a third of the time of a call. What is in JSON already needs none of this.
"""

from __future__ import annotations

from typing import Any

from moto.core.serialize import BaseJSONSerializer

_original = BaseJSONSerializer._serialize_type_structure


def mend() -> None:
    """Put this in moto's place."""
    setattr(BaseJSONSerializer, "_serialize_type_structure", _structure)  # noqa: B010 - to the type checker, an assignment is an error


def _structure(serializer: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
    if shape.name == "AttributeValue" and key and _is_json(value):
        serializer._default_serialize(serialized, value, shape, key)
    else:
        _original(serializer, serialized, value, shape, key)


def _is_json(value: Any) -> bool:
    """Whether this is an attribute's value as DynamoDB's answers have it; bytes are not."""
    if type(value) is not dict or len(value) != 1:
        return False
    ((kind, content),) = value.items()
    match kind:
        case "S" | "N":
            return type(content) is str
        case "BOOL" | "NULL":
            return type(content) is bool
        case "SS" | "NS":
            return type(content) is list and all(type(part) is str for part in content)
        case "M":
            return type(content) is dict and all(map(_is_json, content.values()))
        case "L":
            return type(content) is list and all(map(_is_json, content))
    return False
