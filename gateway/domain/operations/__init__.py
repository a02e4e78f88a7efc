"""Operations: verbs over many people. Links by hand, removals, jobs over all profiles, diffs, simulation, verification."""
