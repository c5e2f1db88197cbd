"""Devices whose speakers are voices of espeak-ng: the same voices can say the same in another language."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import numpy as np
from tests.bench.drift.crowd import Device, device_of

from voxloop_edge.manifest import Clip
from voxloop_proto.errors import ConfigError

SAID: Final = {
    "en": (
        "what will the weather be like tomorrow",
        "turn off the light in the kitchen please",
        "i would like to listen to some music",
        "when does the next train to the city leave",
        "please wake me at seven in the morning",
        "how warm is it in the living room",
        "put milk and bread on the shopping list",
        "close the windows before it rains",
        "what is in the news today",
    ),
    "de": (
        "wie wird das wetter morgen sein",
        "mach bitte das licht in der küche aus",
        "ich möchte gern etwas musik hören",
        "wann fährt der nächste zug in die stadt",
        "bitte weck mich morgen früh um sieben",
        "wie warm ist es im wohnzimmer",
        "setz milch und brot auf die einkaufsliste",
        "mach die fenster zu bevor es regnet",
        "was gibt es heute neues in den nachrichten",
    ),
    "es": (
        "qué tiempo hará mañana por la mañana",
        "apaga la luz de la cocina por favor",
        "me gustaría escuchar un poco de música",
        "cuándo sale el próximo tren a la ciudad",
        "despiértame a las siete de la mañana",
        "qué temperatura hace en el salón",
        "pon leche y pan en la lista de la compra",
        "cierra las ventanas antes de que llueva",
        "qué hay hoy en las noticias",
    ),
}
_VOICES: Final = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5")
_WORDS_A_MINUTE: Final = "150"


def speaking_devices(folder: Path, language: str, seed: int) -> list[Device]:
    """The same voices, microphones and rooms for the same seed, whatever the language. folder: keeps the clips."""
    if shutil.which("espeak-ng") is None:
        raise ConfigError("no espeak-ng, which speaks the languages; apt-get install espeak-ng")
    rng = np.random.default_rng(seed)
    return [
        device_of(number, tuple(_clip(folder, language, voice, at) for at in range(len(SAID[language]))), rng)
        for number, voice in enumerate(_VOICES)
    ]


def _clip(folder: Path, language: str, voice: str, at: int) -> Clip:
    file, text = folder / f"{language}-{voice}-{at}.wav", SAID[language][at]
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        command = ("espeak-ng", "-v", f"{language}+{voice}", "-s", _WORDS_A_MINUTE, "-w", str(file), text)
        subprocess.run(command, check=True)
    return Clip(file.stem, file, text, voice, {})
