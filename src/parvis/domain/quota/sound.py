"""The most that a sound can last, where nobody can measure it before an engine works on it."""

AUDIO_MS_MAX = 3 * 3_600_000
"""Of one file."""
BYTES_PER_S_MIN = 500
"""4 kbit/s: less than the slowest speech codecs in use."""
SPOKEN_MS_EACH_MAX = 500
"""Of a character at its usual speed: several times what voices take, digits and initials included."""
SPOKEN_MS_BESIDE = 2_000
"""Silence around it."""


def heard_ms_max(file_bytes: int) -> int:
    """Of a file of this size."""
    return min(file_bytes * 1000 // BYTES_PER_S_MIN + 1, AUDIO_MS_MAX)


def spoken_ms_max(characters: int, speed_per_mille: int) -> int:
    """Of a text that is spoken so fast; 1000 is the usual speed."""
    return -(-characters * SPOKEN_MS_EACH_MAX * 1000 // speed_per_mille) + SPOKEN_MS_BESIDE
