"""The one command, `mistral-voice`."""
