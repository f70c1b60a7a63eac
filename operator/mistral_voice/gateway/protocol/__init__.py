"""The Realtime protocol on the wire: JSON text into the session's inputs, the session's events into JSON text."""
