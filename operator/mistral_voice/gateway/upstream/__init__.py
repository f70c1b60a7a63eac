"""A session's three streams to Mistral: the caller's speech to text, the reply's text, and that text spoken."""
