"""The platform's keys: their states, which one a session gets, and who looks at which."""
