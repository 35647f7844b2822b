"""Cells, goals, tables and pages of recovery.py."""
