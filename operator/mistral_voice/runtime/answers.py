"""Bodies of answers, whole and bounded. (`StreamReader.read(n)` returns what has come so far, up to n bytes.)"""

import aiohttp


async def whole_body(answer: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """Return the body. Raises aiohttp.ClientPayloadError if it has more than `most_bytes`."""
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > most_bytes:
            raise aiohttp.ClientPayloadError(f"The answer has more than {most_bytes} bytes.")
    return bytes(body)
