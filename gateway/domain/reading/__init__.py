"""Reading: profiles, events, identities and their graphs, as one caller may see them."""
