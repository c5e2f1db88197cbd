"""What a bundle can and cannot do, on sets of clips whose text is known. Never imports torch."""
