"""Parts of `hostile.py`: the attacks, and HTTP by hand."""
