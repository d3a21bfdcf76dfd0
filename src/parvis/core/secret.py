"""A value that must never be printed."""


class Secret:
    """Wraps a secret text. Its repr and str show the label alone; `reveal()` is easy to search for."""

    __slots__ = ("_label", "_value")

    def __init__(self, value: str, label: str = "secret") -> None:
        self._value = value
        self._label = label

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"<{self._label}>"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not serialised")
