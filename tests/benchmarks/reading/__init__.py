"""What `reads.py` is made of: the people it asks for, what it asks, who answers, and who asks fast enough."""
