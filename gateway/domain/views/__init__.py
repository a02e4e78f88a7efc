"""Views: identity graphs, fragments and profiles, derived from facts in the transaction that changes the facts."""
