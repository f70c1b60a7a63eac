"""Turn detection by voice activity: Silero's model, one batch for all sessions, behind an energy gate."""
