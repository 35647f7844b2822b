"""What a report rests on: assumptions, with the findings that speak of them, and versions."""

import platform
from datetime import UTC, datetime
from typing import Any

import numpy as np
import scipy
import sklearn

from .. import __version__
from ..inspection import Findings
from ._logs import FeedbackLog
from ._screen import harmless

_X_ALONE = "Given what the embedding holds, who rates does not depend on how good the answer is"
# Assumptions: methods that make them, the text, and the findings that speak of them.
_ASSUMPTIONS: tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...] = (
    (("naive", "noise"), "Rated answers are a random sample of all", ("CRM003",)),
    (("ips", "snips", "dr"), _X_ALONE, ("CRM003",)),
    (
        ("selection",),
        "The likelihood of who rates what has about the right form, and its level is settled",
        ("CRM013", "CRM016", "CRM015"),
    ),
    (("naive",), "Feedback says what the answer is worth", ("CRM018",)),
    (
        ("noise", "ips", "snips", "dr", "selection"),
        "Feedback errs at two rates, the same for all answers",
        ("CRM006", "CRM002", "CRM018"),
    ),
    (
        ("ips", "snips", "dr", "selection"),
        "Every kind of answer gets feedback sometimes",
        ("CRM001", "CRM004"),
    ),
    (
        ("naive", "noise", "ips", "snips", "dr", "selection"),
        "The embedding holds what makes an answer good",
        ("CRM011", "CRM012", "CRM008"),
    ),
    (
        ("naive", "noise", "ips", "snips", "dr", "selection"),
        "Answers and users stay as they were, and no few of them stand for all",
        ("CRM007", "CRM009"),
    ),
)


def find_assumptions(method: str, findings: Findings) -> list[tuple[str, list[str]]]:
    """Return what the method assumes, and what the findings say of it."""
    return [
        (text, [f"{findings[code].status}: {code} {findings[code].title}" for code in codes])
        for methods, text, codes in _ASSUMPTIONS
        if method in methods
    ]


def find_versions(
    config: dict[str, Any], log: FeedbackLog, logs: list[str]
) -> list[tuple[str, str]]:
    """Return where the figures come from, as names and values."""
    counts = log.counts()
    encoder = config.get("encoder_settings") or {}
    made = config.get("versions") or {}
    verified = f", {counts['verified']:,} verified" if "verified" in counts else ""
    return [
        ("logs", ", ".join(harmless(name) for name in logs)),
        ("rows", f"{counts['rows']:,}, {counts['rated']:,} rated{verified}"),
        ("method", f"{config['method']}, {config['head']['kind']} head"),
        ("encoder", harmless(str(encoder.get("model", "unknown")))),
        ("model made with", ", ".join(f"{name} {value}" for name, value in made.items())),
        (
            "report made with",
            f"skcausalrm {__version__}, python {platform.python_version()}, numpy "
            f"{np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}",
        ),
        ("report made on", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
    ]
