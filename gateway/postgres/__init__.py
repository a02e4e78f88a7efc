"""The embedded Postgres: its programs, system user, directories, processes and dumps."""
