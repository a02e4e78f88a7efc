"""The parts of `removal.py`."""
