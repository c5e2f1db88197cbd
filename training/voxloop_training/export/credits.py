"""Who made the recordings, under which licence."""

from typing import Final

CREDITS: Final = {
    "librispeech-train-clean-5": "CC BY 4.0, LibriSpeech (Panayotov et al.)",
    "librispeech-train-clean-100-4spk": "CC BY 4.0, LibriSpeech (Panayotov et al.)",
    "speechocean762": "free for commercial and non-commercial use, speechocean762 (Zhang et al.)",
    "speech-commands": "CC BY 4.0, Google Speech Commands (Warden)",
    "free-spoken-digits": "CC BY-SA 4.0, Free Spoken Digit Dataset (Jackson et al.)",
    "vctk-p239": "ODC-By, VCTK (CSTR, University of Edinburgh)",
    "esc10-noise": "CC BY 3.0, ESC-10 (Piczak)",
    "synthetic": (
        "synthesised: festival's kal (BSD-like, A. W. Black and K. Lenzo) and ked (BSD-like, University of Edinburgh), "
        "espeak-ng (GPL-3 program, J. Duddington, R. Dunn and others)"
    ),
}

TEXT_CREDITS: Final = {
    "cmudict": "BSD, The CMU Pronouncing Dictionary (Carnegie Mellon University)",
    "grammar-text": "public domain books; queries and everyday sentences CC0, CC BY 2.0 FR, CC BY 3.0 and CC BY 4.0",
}
"""What the graph of a phone bundle was made of, besides."""
