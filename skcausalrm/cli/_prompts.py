"""Which prompts a model was trained on, kept with it as hashes."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from .._utils._warnings import warn
from ..exceptions import AssumptionWarning

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["count_shared", "join_prompts", "pack_prompts"]


def pack_prompts(text: pd.DataFrame) -> dict[str, Any]:
    """Return hashes of the distinct prompts, as JSON can hold them.

    Prompts rather than groups: a log without prompt ids numbers its groups from 0, as any other.
    """
    return _pack(_prompt_hashes(text))


def join_prompts(packed: dict[str, Any] | None, more: dict[str, Any]) -> dict[str, Any] | None:
    """Return the hashes of two logs as one; None if the prompts of the first are not known."""
    import numpy as np

    return None if packed is None else _pack(np.union1d(_unpack(packed), _unpack(more)))


def _pack(hashes: np.ndarray) -> dict[str, Any]:
    return {
        "count": len(hashes),
        "hash": "pandas.util.hash_array",
        "base64_uint64": base64.b64encode(hashes.astype("<u8").tobytes()).decode(),
    }


def _unpack(packed: dict[str, Any]) -> np.ndarray:
    import numpy as np

    return np.frombuffer(base64.b64decode(packed["base64_uint64"]), dtype="<u8")


def count_shared(text: pd.DataFrame, trained_on: dict[str, Any] | None) -> int | None:
    """Return how many distinct prompts were trained on; None if the model does not say.

    Warns
    -----
    AssumptionWarning
        If there are any.
    """
    import numpy as np

    if trained_on is None:
        return None
    hashes = _prompt_hashes(text)
    shared = int(np.isin(hashes, _unpack(trained_on)).sum())
    if shared:
        warn(
            f"{shared} of {len(hashes)} prompts were trained on too, so the scores are "
            "optimistic: evaluate on other prompts.",
            AssumptionWarning,
            "shared-groups",
        )
    return shared


def _prompt_hashes(text: pd.DataFrame) -> np.ndarray:
    import numpy as np
    from pandas.util import hash_array

    from ..text._conversation import as_conversations

    prompts = as_conversations(text).prompts
    keys = [prompt if isinstance(prompt, str) else repr(prompt) for prompt in prompts]
    return np.unique(hash_array(np.array(keys, dtype=object)))
