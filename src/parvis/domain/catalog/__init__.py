"""The catalogue: which models exist, under which names, in which state.

Knows a model's fields, its aliases, its life from planned to retired and its track, stable or experimental.
Users name models, never machines. Refuses to know replicas, engines and addresses.
"""
