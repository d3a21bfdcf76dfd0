"""What a customer's own machine runs, beside the application that uses a key.

Knows the customers' API by its address, and the file in which an application finds its key. Refuses to know anything of
the service's inside: it stands on `core` and on how a key is written, and can be carried elsewhere.
"""
