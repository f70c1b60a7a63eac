"""The live temperament: hears with PocketSphinx, speaks with Piper, answers by rules. Everything happens on this machine."""
