"""The integration as data and types; every file and wire between our processes is a type of this package."""
