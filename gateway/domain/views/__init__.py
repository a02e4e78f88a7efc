"""Views: fragments, identity graphs, profiles and the journal, each brought up to date in the transaction that changes the facts."""
