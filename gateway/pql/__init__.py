"""The Profile Query Language: text → `ast` → `typed`, by the union's types → SQL. It knows no noun and no connection."""
