"""How words are said: the phones, the lexicon, and what a spelling sounds like."""

from voxloop_training.lexicon.lexicon import Lexicon, phones_of
from voxloop_training.lexicon.phones import PHONES, Pronunciation

__all__ = ["PHONES", "Lexicon", "Pronunciation", "phones_of"]
