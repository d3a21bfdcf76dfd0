"""What can go wrong here, as who asked or who starts the worker is told it."""


class Refused(Exception):
    """A request that is not computed. The message says what, why and how to fix it."""

    def __init__(
        self, message: str, *, param: str | None = None, code: str = "invalid_value", status: int = 400
    ) -> None:
        super().__init__(message)
        self.param = param
        self.code = code
        self.status = status


class Gone(Exception):
    """Nobody listens any more."""


class BatchBroke(Exception):
    """A step failed, and what it computed is lost."""

    def __init__(self, *, suspect: bool) -> None:
        super().__init__("The engine failed while it computed a batch. Ask again.")
        self.suspect = suspect
        """This request may have been why: it shall not be tried elsewhere."""
