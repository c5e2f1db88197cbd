"""Speech from text: a recipe, free voices of Debian, and manifests like those of the recorded sets."""
