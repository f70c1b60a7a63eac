"""Messages of Mistral's API as types."""
