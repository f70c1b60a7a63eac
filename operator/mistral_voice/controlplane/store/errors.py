"""What can be wrong with a database."""


class DatabaseUnusable(Exception):
    """The database can't be used; the text says why and what to do. Never holds the URL, which may hold a password."""
