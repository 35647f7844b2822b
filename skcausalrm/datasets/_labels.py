"""Answers that a person judges one by one: their order, and the file of judgements.

A label file is JSON lines, one line per judgement, appended and never rewritten::

    {"key": "2f1c...", "verified": 1, "skipped": false, "prompt": "2+2?", "completion": "4",
     "time": "2026-11-25T09:00:00+00:00"}

``verified`` is 1 (good), 0 (bad) or null. Null is a skipped answer if ``skipped`` is true, and a
withdrawn judgement otherwise. The last line of a key counts, of each ``reviewer`` where lines have
one: an answer is what most of them say. ``top_up`` holds batch, stratum and probability of answers
that were not drawn alike. The texts allow a person to audit the file, so protect it as you protect
the logs. Files of several people may be concatenated.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._utils._hashing import hash_text
from .._utils._warnings import warn
from ..exceptions import DataLossWarning, FeedbackError, FileFormatError
from ..text._conversation import Conversations, as_conversations

__all__ = [
    "answer_keys",
    "answer_texts",
    "append_label",
    "draw_answers",
    "match_labels",
    "read_judgements",
    "read_labels",
]


def answer_texts(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return prompts and completions as texts, in which several messages have their roles.

    Parameters
    ----------
    frame : DataFrame
        As `load_feedback` returns it.

    Returns
    -------
    prompts, completions : list of str
    """
    rows = as_conversations(frame)
    no_prompts: list[Any] = [""] * len(rows)
    prompts = Conversations(no_prompts, rows.prompts).texts()
    return prompts, Conversations(no_prompts, rows.completions).texts()


def answer_keys(frame: pd.DataFrame) -> NDArray[np.object_]:
    """Return a key for each row: a hash of its texts.

    Parameters
    ----------
    frame : DataFrame of n rows
        As `load_feedback` returns it.

    Returns
    -------
    ndarray of str, shape (n,)
        BLAKE2b (128 bits, hexadecimal) of the JSON list ``[prompt, completion]``, as
        `answer_texts` returns them.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcausalrm.datasets._labels import answer_keys
    >>> answer_keys(pd.DataFrame({"prompt": ["2+2?"], "completion": ["4"]})).tolist()
    ['29c532673cb5ab37b3bca2f1346549b3']
    """
    keys = [hash_text(json.dumps(pair)).hex() for pair in zip(*answer_texts(frame), strict=True)]
    return np.array(keys, dtype=object)


def draw_answers(
    frame: pd.DataFrame,
    labels: pd.DataFrame | None = None,
    *,
    random_state: int = 0,
    keys: NDArray | None = None,
) -> NDArray[np.intp]:
    """Return the answers that nobody has judged, in the order in which to judge them.

    Distinct answers come in random order, rated and unrated alike. A group's second answer comes
    after the first of every group: answers to one prompt resemble each other, so one judgement of
    each of many prompts is more informative. The order draws answers, not prompts, so every answer
    is equally likely to be among the first, and the judged answers represent all.

    The order depends on a hash of the texts and `random_state` alone. It continues after some
    answers are judged, and rows that are added to the logs are inserted.

    Parameters
    ----------
    frame : DataFrame of n rows
        As `load_feedback` returns it. Answers with a value in the column ``verified`` are judged.
        Without a column ``group``, rows with equal prompts form a group.
    labels : DataFrame, default=None
        As `read_labels` returns it. Judged and skipped answers are not drawn again.
    random_state : int, default=0
        Seed of the order.
    keys : ndarray of shape (n,), default=None
        Result of `answer_keys`, if it is known already.

    Returns
    -------
    ndarray of int
        Positions in `frame`. Among rows with equal texts the first is returned.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcausalrm.datasets._labels import draw_answers
    >>> logs = pd.DataFrame({"prompt": ["a", "a", "b", "c"], "completion": ["x", "y", "x", "x"]})
    >>> order = draw_answers(logs)
    >>> logs["prompt"][order].tolist()
    ['a', 'c', 'b', 'a']
    """
    keys = answer_keys(frame) if keys is None else keys
    judged = set() if labels is None else set(labels.index)
    if "verified" in frame.columns:
        judged.update(keys[frame["verified"].notna().to_numpy()])
    grouping = frame["group"] if "group" in frame.columns else pd.Series(answer_texts(frame)[0])
    group = pd.factorize(grouping, use_na_sentinel=False)[0]
    first = ~pd.Series(keys).duplicated().to_numpy()
    done = np.fromiter((key in judged for key in keys), dtype=bool, count=len(keys))
    asked_of = np.bincount(group[first & done], minlength=group.max(initial=-1) + 1)

    left = np.flatnonzero(first & ~done)
    place = np.array([_place(key, random_state) for key in keys[left]], dtype=np.uint64)
    left = left[np.argsort(place)]
    turn = asked_of[group[left]] + pd.Series(group[left]).groupby(group[left]).cumcount().to_numpy()
    return left[np.argsort(turn, kind="stable")]


def _place(key: str, random_state: int) -> int:
    return int.from_bytes(hash_text(f"{random_state}:{key}", size=8), "little")


def append_label(
    path: str | os.PathLike,
    key: str,
    verified: float | None,
    *,
    skipped: bool = False,
    prompt: str = "",
    completion: str = "",
    reviewer: str = "",
    top_up: dict[str, Any] | None = None,
) -> None:
    """Append one judgement to a label file and wait until it is on disk.

    Parameters
    ----------
    path : path
        Label file; created if it does not exist.
    key : str
        Key of the answer, from `answer_keys`.
    verified : 1, 0 or None
        None withdraws the last judgement of this key, or, with `skipped`, records that there is
        none.
    skipped : bool, default=False
        True if the person left the answer unjudged.
    prompt, completion : str, default=""
        Texts for people who read the file.
    reviewer, top_up
        Who judged; batch, stratum and probability of an answer not drawn as all others.
    """
    line = {
        "key": key,
        "verified": None if verified is None else int(verified),
        "skipped": skipped,
        "prompt": prompt,
        "completion": completion,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        **({"reviewer": reviewer} if reviewer else {}),
        **({"top_up": top_up} if top_up else {}),
    }
    path = Path(path)
    is_new = not path.exists()
    with path.open("a+b") as file:
        content = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":  # a kill cut the last line
                content = b"\n" + content
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        from .._utils._atomic_files import sync_folder

        sync_folder(path.parent)


def read_judgements(
    path: str | os.PathLike, *, missing_ok: bool = False
) -> dict[tuple[str, str], dict[str, Any]]:
    """Read the last line of each key and reviewer, in order, without withdrawn judgements.

    Parameters, errors and warnings are those of `read_labels`.
    """
    path = Path(path)
    if not (missing_ok or path.exists()):
        raise FileNotFoundError(
            f"There is no label file {path}: create it by `skcausalrm label LOGS --out {path}`."
        )
    found: dict[tuple[str, str], dict[str, Any]] = {}
    torn = []
    content = path.read_bytes() if path.exists() else b""
    # Split at newlines only, because texts may hold other line separators.
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            torn.append(number)
            continue
        _check_record(record, number, path)
        who = (record["key"], str(record.get("reviewer") or ""))
        found.pop(who, None)  # the order is that of the last judgements
        if record["verified"] is not None or record.get("skipped"):
            found[who] = record
    if torn:
        warn(
            f"{len(torn)} lines of {path} are cut off or not JSON and are left out "
            f"(first: line {torn[0]}): judge their answers again, or repair them.",
            DataLossWarning,
            "torn-label",
        )
    return found


def read_labels(path: str | os.PathLike, *, missing_ok: bool = False) -> pd.DataFrame:
    """Read a label file.

    Parameters
    ----------
    path : path
        JSON lines, as `append_label` and ``skcausalrm label`` write them.
    missing_ok : bool, default=False
        Treat an absent file as one without lines.

    Returns
    -------
    DataFrame
        Judgements indexed by ``key``, in order, without the withdrawn ones:

        - ``verified`` : 1.0, 0.0 (what most reviewers say), or NaN for skipped answers;
        - ``prompt``, ``completion`` : str, empty if the line has none;
        - ``time``, ``top_up`` : of the last judgement, as written, or None.

    Raises
    ------
    FileFormatError
        If a line is JSON but not a label.
    FileNotFoundError
        If the file does not exist.

    Warns
    -----
    DataLossWarning
        If lines are not JSON, such as a line cut by a kill, or reviewers disagree by half. These
        are left out.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from skcausalrm.datasets._labels import append_label, read_labels
    >>> with TemporaryDirectory() as folder:
    ...     path = f"{folder}/labels.jsonl"
    ...     append_label(path, "a", 1)
    ...     append_label(path, "b", 0)
    ...     append_label(path, "a", None)  # withdrawn
    ...     read_labels(path)["verified"].to_dict()
    {'b': 0.0}
    """
    by_key: dict[str, list[dict[str, Any]]] = {}
    for (key, _), record in read_judgements(path, missing_ok=missing_ok).items():
        by_key[key] = [*by_key.pop(key, []), record]
    verdicts = [
        [r["verified"] for r in records if r["verified"] is not None] for records in by_key.values()
    ]
    shares = np.array([np.mean(v) if v else np.nan for v in verdicts], dtype=np.float64)
    if split := int(np.count_nonzero(shares == 0.5)):
        warn(
            f"Reviewers of {path} disagree by half on {split} answers, which are left out: have "
            f"one more reviewer judge them.",
            DataLossWarning,
            "split-label",
        )
    last = [records[-1] for records in by_key.values()]
    columns = {
        "prompt": [record.get("prompt", "") for record in last],
        "completion": [record.get("completion", "") for record in last],
        "time": [record.get("time") for record in last],
        "top_up": [record.get("top_up") for record in last],
    }
    return pd.DataFrame(
        {
            "verified": np.where(shares == 0.5, np.nan, np.round(shares)),
            **{name: pd.Series(values, dtype=object) for name, values in columns.items()},
        },
    ).set_index(pd.Index(list(by_key), name="key", dtype=object))


def _check_record(record: Any, number: int, path: Path) -> None:
    if (
        not isinstance(record, dict)
        or not isinstance(record.get("key"), str)
        or "verified" not in record
    ):
        raise FileFormatError(
            f"Line {number} of {path} has no key and verified, so it is not a label: pass a file "
            "that `skcausalrm label` wrote, or a new name."
        )
    if record["verified"] not in (1, 0, None):
        raise FileFormatError(
            f"Line {number} of {path} has verified {record['verified']!r}, but it must be 1, 0 or "
            "null: correct it."
        )


def match_labels(
    frame: pd.DataFrame, labels: pd.DataFrame, *, keys: NDArray | None = None
) -> tuple[NDArray[np.float64], int]:
    """Return the column ``verified`` of logs, with the labels of a file added.

    A judgement is one piece of evidence, so only the first of several equal rows receives it.

    Parameters
    ----------
    frame : DataFrame of n rows
        As `load_feedback` returns it, with or without a column ``verified`` of its own.
    labels : DataFrame
        As `read_labels` returns it.
    keys : ndarray of shape (n,), default=None
        Result of `answer_keys`, if it is known already.

    Returns
    -------
    verified : ndarray of shape (n,)
        1.0, 0.0, or NaN for answers that nobody has judged. An answer judged in the frame keeps
        its row.
    n_unmatched : int
        Number of judged answers whose text is not in the frame.

    Raises
    ------
    FeedbackError
        If the frame and the labels judge an answer differently.

    Warns
    -----
    DataLossWarning
        If judged answers are not in the frame.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcausalrm.datasets._labels import answer_keys, match_labels
    >>> logs = pd.DataFrame({"prompt": ["a", "b", "b"], "completion": ["x", "x", "x"]})
    >>> labels = pd.DataFrame({"verified": [1.0]}, index=answer_keys(logs[1:2]))
    >>> match_labels(logs, labels)
    (array([nan,  1., nan]), 0)
    """
    text = pd.Series(answer_keys(frame) if keys is None else keys)
    judged = labels["verified"].dropna()
    label = text.map(judged).to_numpy(dtype=float)
    own = np.full(len(frame), np.nan)
    if "verified" in frame.columns:
        own = frame["verified"].to_numpy(dtype=float)
        unequal = ~np.isnan(own) & ~np.isnan(label) & (own != label)
        if unequal.any():
            raise FeedbackError(
                f"The labels and the column 'verified' disagree in {int(unequal.sum())} of "
                f"{len(frame)} rows (first at row {int(np.argmax(unequal))}): correct one of "
                "them, or drop the column."
            )
    in_frame = text.isin(text[~np.isnan(own)]).to_numpy()
    verified = np.where(text.duplicated().to_numpy() | in_frame, own, label)
    n_unmatched = len(judged) - int(judged.index.isin(text).sum())
    if n_unmatched:
        warn(
            f"{n_unmatched} of {len(judged)} judged answers are not in the logs (their texts have "
            "changed or are gone) and are not used: pass the logs that were judged, or judge more.",
            DataLossWarning,
            "unmatched-labels",
        )
    return verified, n_unmatched
