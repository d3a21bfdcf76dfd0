"""The names: ids, clock, errors, `Money`, `TokenCount`, `Secret`.

Knows what every other floor must agree on, and no more. Imports the standard library only. A thing belongs
here when three floors need it and none owns it; anything else stays in its room.
"""
