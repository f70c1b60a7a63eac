"""The endpoints of Mistral's API, one module for each kind."""
