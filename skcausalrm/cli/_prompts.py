"""Hashes of the prompts that a model was trained on, kept with the model."""

import base64
from typing import Any

import numpy as np
import pandas as pd

from .._utils._hashing import hash_text
from .._utils._warnings import warn
from ..datasets._labels import answer_texts
from ..exceptions import AssumptionWarning

# Name of the hash, of the prompt as text in UTF-8, stored with the hashes.
_HASH = "blake2b-64"


def pack_prompts(text: pd.DataFrame) -> dict[str, Any]:
    """Return hashes of the distinct prompts as a JSON object.

    Group ids would not do: every log without prompt ids numbers its groups from 0.
    """
    hashes = _prompt_hashes(text)
    return {
        "count": len(hashes),
        "hash": _HASH,
        "base64_uint64": base64.b64encode(hashes.tobytes()).decode(),
    }


def count_shared(text: pd.DataFrame, trained_on: dict[str, Any] | None) -> int | None:
    """Return the number of distinct prompts that were trained on; None if unknown.

    Warns
    -----
    AssumptionWarning
        If the number is not 0 (code "shared-groups").
    """
    if trained_on is None or trained_on["hash"] != _HASH:
        return None
    known = np.frombuffer(base64.b64decode(trained_on["base64_uint64"]), dtype="<u8")
    hashes = _prompt_hashes(text)
    shared = int(np.isin(hashes, known).sum())
    if shared:
        warn(
            f"{shared} of {len(hashes)} prompts were trained on too, so the scores are "
            "optimistic: evaluate on other prompts.",
            AssumptionWarning,
            "shared-groups",
        )
    return shared


def _prompt_hashes(text: pd.DataFrame) -> np.ndarray:
    hashes = [hash_text(prompt, size=8) for prompt in answer_texts(text)[0]]
    return np.unique(np.frombuffer(b"".join(hashes), dtype="<u8"))
