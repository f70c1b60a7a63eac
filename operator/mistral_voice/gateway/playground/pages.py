"""The playground: a page on which a person talks with the integration."""

from mistral_voice.runtime.page import StaticPage

PATH = "/playground/"


def playground() -> StaticPage:
    """Return the page. It holds no secret: whoever opens it still needs the integration's token or a client secret."""
    headers = {"Permissions-Policy": "microphone=(self), camera=(), geolocation=()"}
    return StaticPage("mistral_voice.gateway.playground", PATH, policy=("worker-src 'self'",), headers=headers)
