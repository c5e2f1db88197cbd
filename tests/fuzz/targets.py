"""All that is fuzzed, by name: for scripts/fuzz, and for a few runs of each in the test suite."""

from tests.fuzz.audio_target import AUDIO
from tests.fuzz.bundle_target import BUNDLE
from tests.fuzz.client_target import CLIENT
from tests.fuzz.model_target import MODEL
from tests.fuzz.opus_target import OPUS
from tests.fuzz.session_target import SESSION
from tests.fuzz.settings_target import SETTINGS

TARGETS = {target.name: target for target in (SESSION, CLIENT, BUNDLE, MODEL, AUDIO, OPUS, SETTINGS)}
