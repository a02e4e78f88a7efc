"""What `hostile.py` is made of: the attacks, and HTTP by hand."""
