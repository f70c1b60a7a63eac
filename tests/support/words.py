"""Comparing what was said with what was heard, by words."""

import re


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation."""
    return re.sub(r"[^a-z0-9' ]+", " ", text.lower().replace("’", "'")).split()


def word_error_rate(said: str, heard: str) -> float:
    """Return the words to insert, delete or replace in `heard` to get `said`, as a share of the words of `said`."""
    expected, found = words(said), words(heard)
    if not expected:
        return float(len(found))
    distances = list(range(len(found) + 1))
    for row, word in enumerate(expected, 1):
        diagonal, distances[0] = distances[0], row
        for column, other in enumerate(found, 1):
            diagonal, distances[column] = (
                distances[column],
                min(distances[column] + 1, distances[column - 1] + 1, diagonal + (word != other)),
            )
    return distances[-1] / len(expected)
