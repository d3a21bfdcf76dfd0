"""Passwords: Argon2id, in threads, a few at a time.

Knows how long a hash takes and how much memory it needs, and keeps both away from the loop. Refuses to know whose
password it is, where its hash is kept, and what a good password is.
"""
