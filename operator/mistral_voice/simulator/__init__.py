"""Mistral's API, simulated: faithful to the wire, scripted for tests or live for a demo, with faults on demand."""
