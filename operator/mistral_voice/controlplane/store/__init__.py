"""The database: SQLite for one replica, PostgreSQL for several, one schema."""
