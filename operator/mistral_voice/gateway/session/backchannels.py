"""What a listener says without wanting the word: mhm, yeah, ok. Recognised in the languages that the table holds."""

import re

MOST_WORDS = 4
"""More than so many of them are meant."""

_PHRASES = (
    # heard in any language
    "mhm mm mmm mhmm hm hmm hmhm mm-hmm mm-hm mhm-hm uh-huh uh-hu ah aha ah-ha oh ok okay okey",
    # English
    "yeah yep yup yes yea right sure true exactly indeed good great nice cool wow really i_see got_it all_right alright of_course",
    # French
    "oui ouais d'accord ah_oui ah_bon bien très_bien exactement voilà bien_sûr je_vois ça_marche",
    # German
    "ja jaja jo genau klar ach ach_so achso gut stimmt richtig alles_klar verstehe na_klar ah_ja in_ordnung",
    # Spanish
    "sí si vale claro ya ajá bien bueno de_acuerdo ya_veo entiendo exacto por_supuesto muy_bien",
)
_BACKCHANNELS = frozenset(phrase.replace("_", " ") for phrases in _PHRASES for phrase in phrases.split())
_LONGEST_PHRASE = max(phrase.count(" ") + 1 for phrase in _BACKCHANNELS)
_WORD = re.compile(r"\w+(?:['’-]\w+)*")


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation."""
    return [word.replace("’", "'") for word in _WORD.findall(text.casefold())]


def is_backchannel(text: str) -> bool:
    """Whether a text is nothing but a few backchannels. One that is asked is meant."""
    words = words_of(text)
    if not 0 < len(words) <= MOST_WORDS or "?" in text:
        return False
    start = 0
    while start < len(words):
        length = _phrase_at(words, start)
        if not length:
            return False
        start += length
    return True


def _phrase_at(words: list[str], start: int) -> int:
    for length in range(_LONGEST_PHRASE, 0, -1):
        if " ".join(words[start : start + length]) in _BACKCHANNELS and start + length <= len(words):
            return length
    return 0
