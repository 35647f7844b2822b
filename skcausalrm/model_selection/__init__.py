"""Splitters for logs with unrated rows."""

from ._splitters import FeedbackStratifiedGroupKFold

__all__ = ["FeedbackStratifiedGroupKFold"]
