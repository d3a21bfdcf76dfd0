"""The decisions: pure functions and frozen values, one room for each subject.

Knows the rules of the service. Refuses to know time, chance, files, networks and frameworks: a clock
reading or a random number arrives as an argument, so every rule can be tested a million times in a second.
The rooms are strangers to one another; a story in `flows` introduces them.
"""
