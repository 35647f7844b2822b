"""Looks into a fitted reward: what it rests on, and how far it would move."""

from ._sensitivity import sensitivity_analysis

__all__ = ["sensitivity_analysis"]
