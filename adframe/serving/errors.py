"""The errors that a client gets, with their HTTP status."""

from __future__ import annotations


class RequestError(Exception):
    """A request that is not answered as it was meant; its message is sent to the client.

    Args:
        status: HTTP status.
        code: a short name that programs can compare.
        message: what is wrong and what to do, for people.

    Example:
        >>> RequestError(413, "too_large", "the picture has 60 megapixels").record()
        {'error': {'code': 'too_large', 'message': 'the picture has 60 megapixels'}}
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def record(self) -> dict[str, dict[str, str]]:
        """Returns the body of the answer."""
        return {"error": {"code": self.code, "message": self.message}}
