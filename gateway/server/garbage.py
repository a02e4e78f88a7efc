"""How often a process looks for objects that nobody holds any more but each other."""

import gc


def collect_rarely() -> None:
    """Keep what is here now out of every later collection, and collect less often.

    To be called once the process is ready: documents are thousands of small objects without cycles, and looking through all that was
    imported for each thousand of them takes a third of the time of an ingestion.
    """
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
