"""The acts: one technology a room, strangers to one another.

Each room carries out the intents of `flows/ports.py` with one technology, and hides that technology
completely. It decides nothing: given the same call it does the same thing. Two adapters that need each
other are introduced by a story, or by a composition root. Every adapter of a port passes that port's
conformance suite.
"""
