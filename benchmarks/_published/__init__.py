"""The parts of published_comparison.py: data, methods, one cell, tables, figures."""
