"""The session: a state machine that knows the conversation's rules and nothing of sockets, clocks or the wire."""
