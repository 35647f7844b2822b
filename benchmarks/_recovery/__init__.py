"""What recovery.py runs, checks and shows."""
