"""One file a step, numbered in order.

Knows what one step adds, moves or removes. Refuses to undo: a database goes forward, or is restored from a
backup.
"""
