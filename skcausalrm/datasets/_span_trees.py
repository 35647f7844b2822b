"""Trees of spans: the answer above, below or around a span."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_MAX_DEPTH = 1_000  # levels of a tree of spans; ends a cycle of parents


def parent_positions(ids: pd.Series, parents: pd.Series) -> NDArray[np.int64]:
    """Return the position of the span above each span, -1 where it is not in the export."""
    index = pd.Index(as_keys(ids))
    first = ~index.duplicated() & index.notna()
    positions = pd.Series(np.arange(len(index))[first], index=index[first])
    return positions.reindex(as_keys(parents)).fillna(-1).to_numpy(dtype=np.int64)


def topmost(up: NDArray[np.int64], candidate: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the position of each row's highest ancestor (or itself) that is a candidate, or -1.

    `up` are the `parent_positions`.
    """
    current, top = np.arange(len(up)), np.full(len(up), -1)
    for _ in range(_MAX_DEPTH):
        alive = current >= 0
        if not alive.any():
            break
        top = np.where(alive & candidate[current], current, top)
        current = np.where(alive, up[current], -1)
    return top


def with_lone_roots(
    candidate: NDArray[np.bool_], up: NDArray[np.int64], traces: pd.Series
) -> NDArray[np.bool_]:
    """Return the candidates, and the first root of each trace without one.

    `up` are the `parent_positions`, `traces` are as `as_keys` returns them.
    """
    roots = ~traces.isin(traces[candidate]) & (up < 0)
    return candidate | (roots & ~traces.where(roots).duplicated()).to_numpy()


def as_keys(ids: pd.Series) -> pd.Series:
    """Return ids as texts, missing where they are missing or empty, so that none of these match."""
    texts = ids.astype(str).astype(object)
    return texts.where(ids.notna() & (texts != ""), None)


class AnswerMap:
    """Map from the ids of spans, traces and conversations to the id of their answer.

    Parameters
    ----------
    ids, traces : Series
        Id of each span and of its trace, as `as_keys` returns them.
    up : ndarray of int
        The `parent_positions` of the spans.
    top : ndarray of int
        Position of each span's answer, or -1.
    kept : ndarray of int
        Positions of the answers that were not left out.
    conversations : Series
        Conversation of each kept answer.
    """

    def __init__(
        self,
        ids: pd.Series,
        traces: pd.Series,
        up: NDArray[np.int64],
        top: NDArray[np.intp],
        kept: NDArray[np.intp],
        conversations: pd.Series,
    ):
        names = ids.to_numpy()
        inside = np.isin(top, kept)
        below = pd.Series(names[top[inside]], index=names[inside])
        above = [pd.Series(dtype=object)]
        current = kept.copy()
        for _ in range(_MAX_DEPTH):
            current = np.where(current >= 0, up[current], -1)
            alive = current >= 0
            if not alive.any():
                break
            above.append(pd.Series(names[kept[alive]], index=names[current[alive]]))
        self._by_span = below[~below.index.duplicated()]
        self._by_parent = _only(pd.concat(above))
        self._by_trace = _only(pd.Series(names[kept], index=traces.iloc[kept]))
        self._by_conversation = _only(pd.Series(names[kept], index=as_keys(conversations)))
        self._trace_of = pd.Series(traces.to_numpy(), index=names)[~ids.duplicated().to_numpy()]
        self._left_out = names[(top >= 0) & ~inside]
        self._traces_left_out = pd.Index(traces.to_numpy()[(top >= 0) & ~inside]).dropna()

    def __call__(
        self, spans: pd.Series, traces: pd.Series, conversations: pd.Series | None = None
    ) -> pd.Series:
        """Return the answer of each span, else the only one below it, in the trace, or around."""
        names = as_keys(spans)
        traces = as_keys(traces)
        traces = traces.where(traces.notna(), names.map(self._trace_of))
        keys = [
            (names, self._by_span),
            (names, self._by_parent),
            # A score of an answer that was left out is not that of another one.
            (traces.mask(names.isin(self._left_out)), self._by_trace),
        ]
        if conversations is not None:
            keys.append((as_keys(conversations).mask(names.notna()), self._by_conversation))
        answer = pd.Series(None, index=spans.index, dtype=object)
        for key, answers in keys:
            answer = answer.where(answer.notna(), key.map(answers))
        return answer

    def is_left_out(self, spans: pd.Series, traces: pd.Series) -> NDArray[np.bool_]:
        """Return True for each span that was left out, and for a trace in which one was."""
        names = as_keys(spans)
        by_trace = as_keys(traces).isin(self._traces_left_out)
        return (
            names.isin(self._left_out) | (by_trace & ~names.isin(self._by_span.index))
        ).to_numpy()


def _only(answers: pd.Series) -> pd.Series:
    """Return the entries whose index is known and has no other answer."""
    answers = answers[answers.index.notna()]
    answers = answers[~pd.MultiIndex.from_arrays([answers.index, answers]).duplicated()]
    return answers[~answers.index.duplicated(keep=False)]
