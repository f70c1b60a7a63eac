"""The console: a page on which people see what the API tells, and which kubectl command changes it. It only reads."""

from mistral_voice.runtime.page import StaticPage

PATH = "/console/"


def console() -> StaticPage:
    """Return the page. It holds no secret: what it shows it asks the API for, with the token of whoever sits before it."""
    headers = {"Permissions-Policy": "microphone=(), camera=(), geolocation=()"}
    return StaticPage("mistral_voice.controlplane.console", PATH, headers=headers)
