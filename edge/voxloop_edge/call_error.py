"""What a failed call means to whoever runs the device: gRPC says it in the words of its TLS library, if at all."""

from typing import Final

import grpc
import grpc.aio

from voxloop_edge.client_config import ClientConfig
from voxloop_proto.errors import ConfigError, UnavailableError, VoxloopError, from_status

# In the words of gRPC 1.80 to 1.85, the first that is found counts. A test meets each of them at a real port.
_TLS_FAULTS: Final = (
    (
        "Hostname Verification",
        "its certificate is for another name: use that name in --server, set client.tls.server_name to it, "
        "or make a certificate for this one ('voxloop certificates DIR --host NAME')",
    ),
    (
        "certificate has expired",
        "its certificate has ended: the server needs a new one ('voxloop certificates --help')",
    ),
    ("certificate is not yet valid", "its certificate is not valid yet: set the clock of this device"),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "its certificate is of a CA that this device does not know: name it with --ca FILE; "
        "if it is named, somebody else may be answering in the server's place",
    ),
    (
        "WRONG_VERSION_NUMBER",
        "it speaks plaintext: give it a certificate; if it is on this machine, add --insecure",
    ),
)
_PLUGIN_FAULT: Final = "Getting metadata from plugin failed with error: "
_CLOSED: Final = ("failed to connect", "Socket closed")


def to_error(call: grpc.aio.AioRpcError, config: ClientConfig, was_open: bool = False) -> VoxloopError:
    """The error of ours that a call ended with.

    A server that cannot be trusted is a ConfigError, so that a wrong setting is told at once; was_open: it was trusted
    before, so this may pass, and is an UnavailableError.
    """
    details = call.details() or call.code().name.lower()
    if call.code() is not grpc.StatusCode.UNAVAILABLE:
        return from_status(call.code(), details)
    fault = UnavailableError if was_open else ConfigError
    if _PLUGIN_FAULT in details:
        return fault(details.partition(_PLUGIN_FAULT)[2])
    for words, meaning in _TLS_FAULTS:
        if words in details:
            return fault(f"cannot trust {config.server}: {meaning}")
    if all(words in details for words in _CLOSED):
        return UnavailableError(f"{config.server} closes the connection: {_closed_hint(config)}")
    return from_status(call.code(), details, config.server)


def _closed_hint(config: ClientConfig) -> str:
    if config.insecure:
        return "if it speaks TLS, leave --insecure out and name its CA with --ca FILE"
    if config.tls.certificate is not None:
        return f"it may not take the certificate {config.tls.certificate}: wrong CA, ended, or not a device's"
    return "it may ask for a certificate of this device (--certificate FILE --key FILE)"
