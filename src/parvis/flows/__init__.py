"""The stories: one verb a module, read from top to bottom in the order in which it runs.

Knows which decisions a verb needs, in which order, and what must be durable before the next step; it is the
only place where the rooms of the domain meet. `ports.py` names what the stories need from the world, in
intents (`hold`, `settle`), never in tables or sockets. Refuses to know HTTP, SQL, files and the machine
settings.
"""
