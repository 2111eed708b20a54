"""Operations that are refused, with the response codes of Core TS 1.1 table 6.4-1 and the following."""

BAD_REQUEST, UNAUTHORIZED, NOT_FOUND, NOT_ALLOWED, NOT_ACCEPTABLE = "4.00", "4.01", "4.04", "4.05", "4.06"
UNSUPPORTED_CONTENT_FORMAT = "4.15"


class OperationError(Exception):
    """An operation that is refused with a response code."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason
