"""The numbers that both ends agree on beyond the schema itself."""

SCHEMA_VERSION = 1002
"""major * 1000 + minor. A server refuses a newer major; a newer minor only adds fields that may be ignored."""

MAX_PAYLOAD_BYTES = 64 << 10
"""Largest payload of one Audio message: two seconds of PCM16."""

MAX_HOTWORD_CHARACTERS = 100
OPUS_PACKET_SAMPLES = 320
"""20 ms, the one packet length of this version."""

MAX_HOTWORDS_BYTES = 128 << 10
"""All hotwords of a session together, in UTF-8, so that Hello stays below the smallest message limit."""

MAX_OPUS_PACKETS = 100
"""Packets in one Audio message: two seconds."""

AUTHORIZATION_METADATA_KEY = "authorization"
BEARER_PREFIX = "Bearer "
"""A device's token goes with each call, as RFC 6750 says."""

RETRY_AFTER_METADATA_KEY = "voxloop-retry-after-ms"
"""Trailing metadata of a refused stream: when to come back."""
