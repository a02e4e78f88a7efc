"""Postgres: connections, named statements, transactions, migrations, and the driver's errors translated."""
