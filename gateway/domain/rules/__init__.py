"""Rules: pure functions of the values they are given. No statement, no clock, no connection."""
