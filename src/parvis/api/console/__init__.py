"""The customers' listener: the JSON API behind the web console, and the console's static files.

Knows what a tenant may see and ask about its own keys, usage and limits, as HTTP. Demands a credential from
the first day. Refuses to know any other tenant, the operator's verbs and the inference listener.
"""
