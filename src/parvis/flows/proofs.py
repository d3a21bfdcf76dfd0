"""Credentials that were proven lately, by a mark of theirs: a bounded number of them."""

from collections.abc import Iterable

from parvis.flows.prepared import PreparedKey

PROOFS_MAX = 4_000
"""Five megabytes, which are let go of in some milliseconds. Who is used less often than so many others is proven anew,
in some 20 microseconds."""


class Proofs:
    """What is asked for on the path of a request is `by_mark`; everything else happens when something changes."""

    def __init__(self, proofs_max: int = PROOFS_MAX) -> None:
        self.by_mark: dict[bytes, PreparedKey] = {}
        self._marks: dict[str, list[bytes]] = {}
        self._proofs_max = proofs_max

    def keep(self, mark: bytes, prepared: PreparedKey) -> None:
        """From now on it is known. The oldest makes room."""
        if mark in self.by_mark:
            self._drop(mark)
        elif len(self.by_mark) >= self._proofs_max:
            self._drop(next(iter(self.by_mark)))
        self.by_mark[mark] = prepared
        self._marks.setdefault(prepared.key.key_id, []).append(mark)

    def forget(self, key_ids: Iterable[str]) -> None:
        """These keys are not what they were."""
        for key_id in key_ids:
            for mark in self._marks.pop(key_id, ()):
                del self.by_mark[mark]

    def clear(self) -> None:
        """Nothing is what it was."""
        self.by_mark.clear()
        self._marks.clear()

    def _drop(self, mark: bytes) -> None:
        key_id = self.by_mark.pop(mark).key.key_id
        marks = self._marks[key_id]
        marks.remove(mark)
        if not marks:
            del self._marks[key_id]
