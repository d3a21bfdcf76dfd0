"""Processes: starting children, watching them, ending them.

Knows sessions, signals, pipes that close with the parent, inherited sockets and back-off. No child outlives
its supervisor. Imported by the supervisor only, so nothing that serves a request can start a program.
Refuses to know what its children do.
"""
