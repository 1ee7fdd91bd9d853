"""What goes wrong when somebody asks to be let in."""


class Unauthenticated(Exception):
    """The token is missing where one is needed, or is not valid; ``message`` says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
