"""Mistral's API where it streams: chat, speech to text and speech, over one aiohttp client."""
