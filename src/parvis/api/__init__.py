"""The api: bytes in, typed values out, and the way back.

Knows protocols, status codes and the shape of errors; no other floor knows an HTTP status. Takes no
decision: it translates a request, hands it to a story in `flows`, and translates the result. Its three
listeners have sockets and processes of their own and do not know each other, so that nothing of the
administration faces the Internet.
"""
