"""Parts of `reads.py`: the population, the scenarios, the subjects that are compared, and the load."""
