"""The device: finds speech, sets its level, and sends only the speech."""
