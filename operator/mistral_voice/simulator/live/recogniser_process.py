"""A child process that hears: PocketSphinx holds the interpreter's lock while it decodes, so it gets an interpreter of its own.

On standard input come frames of one letter, a length (4 bytes, big-endian) and that many bytes: `S` starts an utterance, `A` is audio
(16-bit samples, 16 kHz, mono), `E` ends it. To each `E`, and once at the start, it answers on standard output with a length and the words
in UTF-8.
"""

import signal
import struct
import sys
from typing import BinaryIO

SAMPLE_RATE = 16_000
HEADER = struct.Struct(">cI")
LENGTH = struct.Struct(">I")
MAX_FRAME_BYTES = 1_048_576


def main() -> None:
    """Serve until standard input ends."""
    from pocketsphinx import Decoder

    # A Ctrl-C reaches the whole process group; the parent ends its children itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    decoder = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")
    source, answers = sys.stdin.buffer, sys.stdout.buffer
    _answer(answers, "")
    in_utterance = False
    while header := source.read(HEADER.size):
        letter, length = HEADER.unpack(header)
        data = source.read(length)
        match letter:
            case b"S":
                if in_utterance:
                    decoder.end_utt()
                decoder.start_utt()
                in_utterance = True
            case b"A" if in_utterance:
                decoder.process_raw(data, False, False)
            case b"E":
                words = ""
                if in_utterance:
                    decoder.end_utt()
                    hypothesis = decoder.hyp()
                    words = hypothesis.hypstr if hypothesis is not None else ""
                in_utterance = False
                _answer(answers, words)


def _answer(answers: BinaryIO, words: str) -> None:
    encoded = words.encode()
    answers.write(LENGTH.pack(len(encoded)) + encoded)
    answers.flush()


if __name__ == "__main__":
    main()
