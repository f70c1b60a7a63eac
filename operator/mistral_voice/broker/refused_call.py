"""A call that goes no further: its status and a sentence, in the shape of Mistral's own errors."""

from aiohttp import web


class RefusedCallError(Exception):
    """A call that is not made, or that Mistral refused. `reason` is the label of the metric."""

    def __init__(self, status: int, reason: str, message: str, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    def answer(self) -> web.Response:
        """Return the answer."""
        headers = {"Retry-After": self.retry_after} if self.retry_after is not None else None
        body = {"object": "error", "message": self.message, "type": self.reason, "code": str(self.status)}
        return web.json_response(body, status=self.status, headers=headers)


class LostCallError(RefusedCallError):
    """A call that broke off after it was sent: Mistral may have done, and counted, what was asked."""


def not_authorized(message: str) -> RefusedCallError:
    """Return the refusal of a ticket."""
    return RefusedCallError(401, "ticket", message)


def malformed(message: str) -> RefusedCallError:
    """Return the refusal of a request that a gateway never makes."""
    return RefusedCallError(400, "malformed", message)


def not_in_plan(what: str, name: str) -> RefusedCallError:
    """Return the refusal of a model or a voice."""
    return RefusedCallError(403, "plan", f"The session's plan has no {what} {name!r}."[:300])
