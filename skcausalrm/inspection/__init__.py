"""Inspection of a fitted reward: what it rests on, and how far it would move."""

from ..selection._sensitivity import sensitivity_analysis

__all__ = ["sensitivity_analysis"]
