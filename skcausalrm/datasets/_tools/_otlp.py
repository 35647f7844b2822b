"""Values of OpenTelemetry's protocol in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...text._messages import is_list
from .._texts import decode


def attributes_of(pairs: Any) -> dict[str, Any]:
    """Return attributes by name: from OTLP's pairs of key and value, or from an object.

    Examples
    --------
    >>> attributes_of([{"key": "n", "value": {"intValue": "3"}}])
    {'n': 3}
    """
    pairs = decode(pairs)
    if isinstance(pairs, Mapping):
        return dict(pairs)
    if not is_list(pairs):
        return {}
    return {
        str(pair["key"]): value_of(pair.get("value"))
        for pair in pairs
        if isinstance(pair, Mapping) and "key" in pair
    }


def value_of(value: Any) -> Any:
    """Return the value that one of the typed fields of OTLP holds, in either spelling."""
    if not isinstance(value, Mapping):
        return value
    fields = {
        str(name).replace("_", "").lower(): item for name, item in value.items() if item is not None
    }
    if isinstance(array := fields.get("arrayvalue"), Mapping):
        items = array.get("values")
        return [value_of(item) for item in items] if is_list(items) else []
    if isinstance(pairs := fields.get("kvlistvalue"), Mapping):
        return attributes_of(pairs.get("values"))
    if "intvalue" in fields:
        return int(fields["intvalue"])  # 64-bit integers are texts in OTLP JSON
    return next(iter(fields.values()), None)
