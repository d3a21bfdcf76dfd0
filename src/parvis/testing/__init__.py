"""For tests, ours and an extension's: the fake engine, conformance suites and builders.

The fake engine is a real HTTP process with deterministic tokens and faults on command. A conformance suite
says what a port promises; an adapter that passes it may stand behind that port. The product never imports
this room.
"""
