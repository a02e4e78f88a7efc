"""Operations: verbs over many people. Links by hand, deletions, jobs over all profiles, diffs, simulation, verification."""
