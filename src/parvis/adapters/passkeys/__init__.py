"""Passkeys: WebAuthn, for the one site that a listener is.

Knows what a browser must be asked and how its answer is judged: origin, site, challenge, flags and signature. Refuses
to know who signs in, where credentials are kept, and which challenge was made for what.
"""
